/* Contexts: what they cost, what the stack of current contexts allows, what misuse answers. */
#include "probe.h"

static void costs(CUdevice device) {
    CUcontext first = NULL, second = NULL;
    size_t free_1 = 0, free_2 = 0, total = 0;
    uint64_t began = now_ns();
    must(cuDevicePrimaryCtxRetain(&first, device));
    say("time.first_context_ms", "%.3f", (double)(now_ns() - began) / 1e6);
    must(cuCtxSetCurrent(first));
    must(cuMemGetInfo_v2(&free_1, &total));
    say("memory.total", "%zu", total);
    say("memory.taken_with_one_context", "%zu", total - free_1);
    began = now_ns();
    must(cuCtxCreate_v2(&second, 0, device));
    say("time.second_context_ms", "%.3f", (double)(now_ns() - began) / 1e6);
    must(cuMemGetInfo_v2(&free_2, &total));
    say("memory.second_context", "%lld", (long long)free_1 - (long long)free_2);
    CUmodule module = NULL;
    CUfunction busy = NULL;
    must(cuModuleLoadData(&module, KERNELS));
    say("memory.module", "%lld", (long long)free_2 - (long long)free_bytes());
    must(cuModuleGetFunction(&busy, module, "busy"));
    say("memory.function", "%lld", (long long)free_2 - (long long)free_bytes());
    must(launch1(busy, 1, NULL));
    must(cuCtxSynchronize());
    say("memory.first_launch", "%lld", (long long)free_2 - (long long)free_bytes());
    CUstream streams[16];
    for (int index = 0; index < 16; index++) must(cuStreamCreate(&streams[index], 0));
    say("memory.sixteen_streams", "%lld", (long long)free_2 - (long long)free_bytes());
    must(cuCtxDestroy_v2(second));
    must(cuCtxSetCurrent(first));
    say("memory.after_destroy", "%lld", (long long)free_1 - (long long)free_bytes());
    code("after_destroy.launch_in_it", launch1(busy, 1, NULL));
}

static void limits(void) {
    char name[64];
    for (int id = 0; id < 16; id++) {
        size_t value = 0;
        CUresult result = cuCtxGetLimit(&value, id);
        snprintf(name, sizeof name, "limit.%d", id);
        say(name, "%d %zu", result, value);
    }
    size_t before = free_bytes(), value = 0;
    code("limit.set_heap", cuCtxSetLimit(2, 256 * MIB));
    say("limit.set_heap_takes", "%lld", (long long)before - (long long)free_bytes());
    code("limit.set_stack", cuCtxSetLimit(0, 4096));
    cuCtxGetLimit(&value, 0);
    say("limit.stack_after_set", "%zu", value);
    say("limit.set_stack_takes", "%lld", (long long)before - (long long)free_bytes());
    code("limit.set_unknown", cuCtxSetLimit(99, 4096));
    code("limit.set_stack_huge", cuCtxSetLimit(0, (size_t)1 << 40));
}

static void stack(CUdevice device) {
    CUcontext context = NULL, other = NULL, seen = NULL;
    unsigned flags = 77, version = 0;
    unsigned long long id = 0;
    int active = -1, value = 0, least = -1, greatest = -1;
    CUdevice of = -1;
    must(cuCtxSetCurrent(NULL));
    code("none.get_current", cuCtxGetCurrent(&seen));
    say("none.get_current_is_null", "%d", seen == NULL);
    code("none.pop", cuCtxPopCurrent_v2(&seen));
    code("none.device", cuCtxGetDevice(&of));
    code("none.synchronize", cuCtxSynchronize());
    code("none.alloc", cuMemAlloc_v2(&(CUdeviceptr){0}, 4096));
    code("none.mem_info", cuMemGetInfo_v2(&(size_t){0}, &(size_t){0}));
    code("none.stream_create", cuStreamCreate(&(CUstream){0}, 0));
    code("none.event_create", cuEventCreate(&(CUevent){0}, 0));
    code("none.module", cuModuleLoadData(&(CUmodule){0}, KERNELS));
    code("none.flags", cuCtxGetFlags(&flags));
    code("primary.state", cuDevicePrimaryCtxGetState(device, &flags, &active));
    say("primary.state_values", "%u %d", flags, active);
    code("primary.set_flags_while_active", cuDevicePrimaryCtxSetFlags_v2(device, 4));
    code("create.bad_flags", cuCtxCreate_v2(&other, 0xffff, device));
    code("create.null", cuCtxCreate_v2(NULL, 0, device));
    code("create.bad_device", cuCtxCreate_v2(&other, 0, 99));
    code("create.v4", cuCtxCreate_v4(&context, NULL, 4, device));
    code("v4.flags", cuCtxGetFlags(&flags));
    say("v4.flags_value", "%u", flags);
    code("v4.api_version", cuCtxGetApiVersion(context, &version));
    say("v4.api_version_value", "%u", version);
    code("v4.id", cuCtxGetId(context, &id));
    code("v4.cache", cuCtxGetCacheConfig(&value));
    code("v4.shared", cuCtxGetSharedMemConfig(&value));
    code("v4.priorities", cuCtxGetStreamPriorityRange(&least, &greatest));
    say("v4.priorities_value", "%d %d", least, greatest);
    code("v4.pop", cuCtxPopCurrent_v2(&seen));
    say("v4.popped_it", "%d", seen == context);
    code("v4.pop_again", cuCtxPopCurrent_v2(&seen));
    code("v4.push", cuCtxPushCurrent_v2(context));
    code("v4.push_again", cuCtxPushCurrent_v2(context));
    code("v4.peer_with_itself", cuCtxEnablePeerAccess(context, 0));
    code("v4.destroy_current", cuCtxDestroy_v2(context));
    seen = NULL;
    code("v4.current_after_destroy", cuCtxGetCurrent(&seen));
    say("v4.current_after_destroy_is", "%s", seen == NULL ? "null" : seen == context ? "destroyed" : "other");
    code("v4.synchronize_after_destroy", cuCtxSynchronize());
    code("v4.alloc_after_destroy", cuMemAlloc_v2(&(CUdeviceptr){0}, 4096));
    code("v4.destroy_twice", cuCtxDestroy_v2(context));
    code("v4.set_destroyed_current", cuCtxSetCurrent(context));
    code("destroy.null", cuCtxDestroy_v2(NULL));
    code("push.null", cuCtxPushCurrent_v2(NULL));
    cuCtxSetCurrent(NULL);
}

static void primary(CUdevice device) {
    CUcontext context = NULL;
    unsigned flags = 0;
    int active = 0;
    code("primary.destroy_as_context", (cuDevicePrimaryCtxRetain(&context, device), cuCtxDestroy_v2(context)));
    code("primary.release_1", cuDevicePrimaryCtxRelease_v2(device));
    code("primary.release_2", cuDevicePrimaryCtxRelease_v2(device));
    cuDevicePrimaryCtxGetState(device, &flags, &active);
    say("primary.active_after_two", "%d", active);
    code("primary.release_3", cuDevicePrimaryCtxRelease_v2(device));
    code("primary.release_4", cuDevicePrimaryCtxRelease_v2(device));
    code("primary.retain_null", cuDevicePrimaryCtxRetain(NULL, device));
    CUcontext again = NULL;
    must(cuDevicePrimaryCtxRetain(&again, device));
    say("primary.same_handle_again", "%d", again == context);
    CUdeviceptr kept = 0;
    must(cuCtxSetCurrent(again));
    must(cuMemAlloc_v2(&kept, MIB));
    code("primary.reset", cuDevicePrimaryCtxReset_v2(device));
    cuDevicePrimaryCtxGetState(device, &flags, &active);
    say("primary.active_after_reset", "%d", active);
    code("primary.free_after_reset", cuMemFree_v2(kept));
    code("primary.alloc_after_reset", cuMemAlloc_v2(&kept, MIB));
    code("primary.synchronize_after_reset", cuCtxSynchronize());
}

static void modules(void) {
    CUmodule module = NULL;
    CUfunction function = NULL;
    CUlibrary library = NULL;
    CUkernel made = NULL;
    int value = -1;
    unsigned count = 0;
    size_t at = 0, size = 0;
    const char *word = NULL;
    code("module.garbage", cuModuleLoadData(&module, "this is no image at all, surely"));
    code("module.empty", cuModuleLoadData(&module, ""));
    code("module.null_image", cuModuleLoadData(&module, NULL));
    code("module.null_out", cuModuleLoadData(NULL, KERNELS));
    code("module.bad_ptx", cuModuleLoadData(&module, ".version 7.5\n.target sm_75\n.address_size 64\nhello\n"));
    code("module.no_file", cuModuleLoad(&module, "/nonexistent"));
    code("module.load", cuModuleLoadData(&module, KERNELS));
    code("module.count", cuModuleGetFunctionCount(&count, module));
    say("module.count_value", "%u", count);
    code("module.no_function", cuModuleGetFunction(&function, module, "nothing"));
    code("module.no_global", cuModuleGetGlobal_v2(&(CUdeviceptr){0}, &size, module, "nothing"));
    code("module.function", cuModuleGetFunction(&function, module, "fill"));
    code("module.is_loaded", cuFuncIsLoaded(&value, function));
    say("module.is_loaded_value", "%d", value);
    code("module.name", cuFuncGetName(&word, function));
    say("module.name_value", "%s", word ? word : "NULL");
    for (size_t index = 0; index < 4; index++) {
        char name[64];
        CUresult result = cuFuncGetParamInfo(function, index, &at, &size);
        snprintf(name, sizeof name, "module.parameter.%zu", index);
        say(name, "%d %zu %zu", result, result ? 0 : at, result ? 0 : size);
    }
    for (int id = 0; id < 12; id++) {
        char name[64];
        value = -77;
        CUresult result = cuFuncGetAttribute(&value, id, function);
        snprintf(name, sizeof name, "module.attribute.%d", id);
        say(name, "%d %d", result, value);
    }
    code("module.occupancy", cuOccupancyMaxActiveBlocksPerMultiprocessor(&value, function, 128, 0));
    say("module.occupancy_value", "%d", value);
    code("library.load", cuLibraryLoadData(&library, KERNELS, NULL, NULL, 0, NULL, NULL, 0));
    code("library.count", cuLibraryGetKernelCount(&count, library));
    code("library.kernel", cuLibraryGetKernel(&made, library, "busy"));
    code("library.no_kernel", cuLibraryGetKernel(&(CUkernel){0}, library, "nothing"));
    code("library.function", cuKernelGetFunction(&function, made));
    code("library.launch_function", launch1(function, 1, NULL));
    code("library.launch_kernel_itself", launch1((CUfunction)made, 1, NULL));
    code("library.garbage", cuLibraryLoadData(&(CUlibrary){0}, "garbage garbage garbage", NULL, NULL, 0, NULL, NULL, 0));
    must(cuCtxSynchronize());
    code("library.unload", cuLibraryUnload(library));
    code("module.unload", cuModuleUnload(module));
    code("module.unload_twice", cuModuleUnload(module));
}

int main(void) {
    driver_load();
    must(cuInit(0));
    costs(0);
    limits();
    modules();
    stack(0);
    primary(0);
    return 0;
}
