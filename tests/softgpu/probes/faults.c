/* What a program sees after its kernel went wrong: which calls answer the error, what still works, what NVML tells. */
#include "probe.h"
#include "nvml.h"

static void after(const char *word, uint64_t argument, const char *entry) {
    char name[80];
    CUstream stream = NULL;
    CUevent event = NULL;
    CUdeviceptr at = 0;
    CUcontext context = NULL;
    start();
    CUfunction broken = kernel(entry);
    must(cuMemAlloc_v2(&at, 4096));
    must(cuStreamCreate(&stream, 1));
    must(cuEventCreate(&event, 0));
#define step(what, call) snprintf(name, sizeof name, "fault.%s.%s", word, what), code(name, call)
    step("launch", launch1(broken, argument, stream));
    step("synchronize", cuStreamSynchronize(stream));
    step("query", cuStreamQuery(stream));
    step("synchronize_again", cuCtxSynchronize());
    step("launch_again", launch1(broken, argument, stream));
    step("alloc", cuMemAlloc_v2(&(CUdeviceptr){0}, 4096));
    step("alloc_async", cuMemAllocAsync(&(CUdeviceptr){0}, 4096, stream));
    step("free", cuMemFree_v2(at));
    step("copy", cuMemcpyDtoH_v2(name, at, 0));
    step("mem_info", cuMemGetInfo_v2(&(size_t){0}, &(size_t){0}));
    step("event_record", cuEventRecord(event, stream));
    step("event_query", cuEventQuery(event));
    step("event_destroy", cuEventDestroy_v2(event));
    step("stream_create", cuStreamCreate(&(CUstream){0}, 0));
    step("stream_destroy", cuStreamDestroy_v2(stream));
    step("current", cuCtxGetCurrent(&context));
    step("device_count", cuDeviceGetCount(&(int){0}));
    step("attribute", cuDeviceGetAttribute(&(int){0}, 1, 0));
    step("context_create", cuCtxCreate_v2(&context, 0, 0));
    step("alloc_in_new_context", cuMemAlloc_v2(&(CUdeviceptr){0}, 4096));
    step("primary_reset", cuDevicePrimaryCtxReset_v2(0));
    step("retain_after_reset", cuDevicePrimaryCtxRetain(&context, 0));
    step("alloc_after_reset", (cuCtxSetCurrent(context), cuMemAlloc_v2(&(CUdeviceptr){0}, 4096)));
#undef step
    _exit(0);
}

int main(void) {
    NvmlDevice device = nvml_start();
    void *set = NULL;
    static const struct { const char *word, *entry; uint64_t argument; } CASES[] = {
        {"wild_address", "poke", 0x12345000}, {"odd_address", "poke", 0x7f0000000001}, {"trap", "broken", 0}};
    code("events.create", nvmlEventSetCreate(&set));
    code("events.register_xid", nvmlDeviceRegisterEvents(device, 8, set));
    NvmlEvent event;
    code("events.wait_nothing", nvmlEventSetWait_v2(set, &event, 50));
    for (size_t index = 0; index < sizeof CASES / sizeof *CASES; index++) {
        char name[80];
        pid_t worker = fork();
        if (worker == 0) after(CASES[index].word, CASES[index].argument, CASES[index].entry);
        waitpid(worker, NULL, 0);
        for (int turn = 0; turn < 4; turn++) {
            memset(&event, 0, sizeof event);
            int result = nvmlEventSetWait_v2(set, &event, turn ? 300 : 2000);
            snprintf(name, sizeof name, "fault.%s.event.%d", CASES[index].word, turn);
            if (result) say(name, "answers %d", result);
            else say(name, "type %llu xid %llu instance %x", event.type, event.data, event.gpu_instance);
            if (result) break;
        }
    }
    code("events.free", nvmlEventSetFree(set));
    return 0;
}
