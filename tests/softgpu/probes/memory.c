/* Plain device memory, pitch, managed, host, arrays, copies, pointers and IPC: sizes taken, codes of misuse. */
#include "probe.h"

static const size_t SIZES[] = {1, 256, 512, 513, 4096, 65536, 65537, MIB - 1, MIB, MIB + 1, 2 * MIB, 2 * MIB + 1,
                               3 * MIB, 5 * MIB, 64 * MIB, 64 * MIB + 1, 1000000007};

static void rounding(void) {
    char name[64];
    for (size_t index = 0; index < sizeof SIZES / sizeof *SIZES; index++) {
        CUdeviceptr at = 0, base = 0;
        size_t before = free_bytes(), range = 0;
        must(cuMemAlloc_v2(&at, SIZES[index]));
        snprintf(name, sizeof name, "alloc.takes.%zu", SIZES[index]);
        say(name, "%lld", (long long)before - (long long)free_bytes());
        snprintf(name, sizeof name, "alloc.alignment.%zu", SIZES[index]);
        say(name, "%llu", at & -at);
        must(cuMemGetAddressRange_v2(&base, &range, at));
        snprintf(name, sizeof name, "alloc.range.%zu", SIZES[index]);
        say(name, "%zu %d", range, base == at);
        must(cuMemFree_v2(at));
        snprintf(name, sizeof name, "alloc.kept_after_free.%zu", SIZES[index]);
        say(name, "%lld", (long long)before - (long long)free_bytes());
    }
    CUdeviceptr many[64];
    size_t before = free_bytes();
    for (int index = 0; index < 64; index++) must(cuMemAlloc_v2(&many[index], 256));
    say("alloc.small_64_take", "%lld", (long long)before - (long long)free_bytes());
    say("alloc.small_distance", "%lld", (long long)(many[2] - many[1]));
    for (int index = 0; index < 64; index++) must(cuMemFree_v2(many[index]));
    for (int index = 0; index < 64; index++) must(cuMemAlloc_v2(&many[index], 300 * 1024));
    say("alloc.middle_64_take", "%lld", (long long)before - (long long)free_bytes());
    for (int index = 0; index < 64; index++) must(cuMemFree_v2(many[index]));
    say("alloc.middle_64_keep", "%lld", (long long)before - (long long)free_bytes());
}

static void misuse(void) {
    CUdeviceptr at = 0, set = 0xdeadbeef;
    size_t total = 0;
    char bytes[16] = {0};
    must(cuMemGetInfo_v2(&(size_t){0}, &total));
    code("misuse.zero_size", cuMemAlloc_v2(&at, 0));
    code("misuse.null_out", cuMemAlloc_v2(NULL, 64));
    code("misuse.all_memory", cuMemAlloc_v2(&set, total));
    say("misuse.all_memory_sets", "%llx", set);
    set = 0xdeadbeef;
    code("misuse.endless", cuMemAlloc_v2(&set, (size_t)-1));
    code("misuse.huge", cuMemAlloc_v2(&set, (size_t)1 << 48));
    code("misuse.free_null", cuMemFree_v2(0));
    code("misuse.free_wild", cuMemFree_v2(0x12345000));
    must(cuMemAlloc_v2(&at, 4096));
    code("misuse.free_inside", cuMemFree_v2(at + 256));
    code("misuse.free", cuMemFree_v2(at));
    code("misuse.free_twice", cuMemFree_v2(at));
    must(cuMemAlloc_v2(&at, 4 * MIB));
    code("misuse.copy_past_end", cuMemcpyDtoH_v2(malloc(8 * MIB), at, 8 * MIB));
    code("misuse.copy_from_wild", cuMemcpyDtoH_v2(bytes, 0x12345000, 16));
    code("misuse.copy_to_wild", cuMemcpyHtoD_v2(0x12345000, bytes, 16));
    code("misuse.copy_null_host", cuMemcpyHtoD_v2(at, NULL, 16));
    code("misuse.copy_nothing", cuMemcpyHtoD_v2(at, NULL, 0));
    code("misuse.set_past_end", cuMemsetD8_v2(at, 1, 8 * MIB));
    code("misuse.set_wild", cuMemsetD8_v2(0x12345000, 1, 16));
    code("misuse.set_odd_address", cuMemsetD32_v2(at + 2, 1, 4));
    code("misuse.set_nothing", cuMemsetD8_v2(at, 1, 0));
    code("misuse.context_after_all", cuCtxSynchronize());
    code("info.null_free", cuMemGetInfo_v2(NULL, &total));
    code("info.null_total", cuMemGetInfo_v2(&total, NULL));
    code("info.null_both", cuMemGetInfo_v2(NULL, NULL));
    must(cuMemFree_v2(at));
}

static void pitch(void) {
    static const size_t WIDTHS[] = {1, 4, 63, 512, 513, 1000, 1024, 1025, 4097, 65537};
    char name[64];
    CUdeviceptr at = 0;
    size_t row = 0;
    for (size_t index = 0; index < sizeof WIDTHS / sizeof *WIDTHS; index++) {
        must(cuMemAllocPitch_v2(&at, &row, WIDTHS[index], 10, 4));
        snprintf(name, sizeof name, "pitch.%zu", WIDTHS[index]);
        say(name, "%zu", row);
        must(cuMemFree_v2(at));
    }
    code("pitch.element_0", cuMemAllocPitch_v2(&at, &row, 64, 10, 0));
    code("pitch.element_3", cuMemAllocPitch_v2(&at, &row, 64, 10, 3));
    code("pitch.element_16", cuMemAllocPitch_v2(&at, &row, 64, 10, 16));
    code("pitch.width_0", cuMemAllocPitch_v2(&at, &row, 0, 10, 4));
    code("pitch.height_0", cuMemAllocPitch_v2(&at, &row, 64, 0, 4));
    code("pitch.null_pitch", cuMemAllocPitch_v2(&at, NULL, 64, 10, 4));
    size_t before = free_bytes();
    must(cuMemAllocPitch_v2(&at, &row, 1000, 10000, 4));
    say("pitch.takes_1000x10000", "%lld", (long long)before - (long long)free_bytes());
    must(cuMemFree_v2(at));
}

static void pointer_facts(const char *what, CUdeviceptr at) {
    char name[80];
    for (int id = 1; id < 22; id++) {
        unsigned char value[64] = {0};
        if (id == 5) continue; /* peer-to-peer tokens need a right that few have */
        CUresult result = cuPointerGetAttribute(value, id, at);
        snprintf(name, sizeof name, "pointer.%s.%d", what, id);
        int is_address = id == 1 || id == 3 || id == 4 || id == 7 || id == 11 || id == 17 || id == 20;
        if (result != 0) say(name, "answers %d", result);
        else if (is_address) say(name, "%s", *(uint64_t *)value ? "set" : "0");
        else say(name, "%llu", (unsigned long long)*(uint64_t *)value);
    }
    int ids[2] = {2, 8};
    unsigned type = 99, managed = 99;
    void *places[2] = {&type, &managed};
    CUresult result = cuPointerGetAttributes(2, ids, places, at);
    snprintf(name, sizeof name, "pointer.%s.many", what);
    say(name, "%d %u %u", result, type, managed & 0xff);
}

static void kinds(void) {
    CUdeviceptr device = 0, managed = 0, mapped = 0;
    void *pinned = NULL, *plain = malloc(4096), *page = NULL;
    unsigned flags = 0;
    size_t before = free_bytes();
    must(cuMemAlloc_v2(&device, 2 * MIB));
    code("managed.alloc", cuMemAllocManaged(&managed, 8 * MIB, 1));
    say("managed.takes", "%lld", (long long)before - 2 * (long long)MIB - (long long)free_bytes());
    code("managed.bad_flags", cuMemAllocManaged(&(CUdeviceptr){0}, MIB, 9));
    code("managed.zero", cuMemAllocManaged(&(CUdeviceptr){0}, 0, 1));
    if (managed) {
        memset((void *)managed, 7, MIB);
        code("managed.prefetch", cuMemPrefetchAsync_v2(managed, 8 * MIB, (CUlocation){1, 0}, 0, NULL));
        must(cuCtxSynchronize());
        say("managed.takes_after_prefetch", "%lld", (long long)before - 2 * (long long)MIB - (long long)free_bytes());
    }
    code("host.alloc", cuMemHostAlloc(&pinned, MIB, 3));
    code("host.bad_flags", cuMemHostAlloc(&(void *){0}, MIB, 0x100));
    code("host.zero", cuMemHostAlloc(&(void *){0}, 0, 0));
    code("host.flags", cuMemHostGetFlags(&flags, pinned));
    say("host.flags_value", "%u", flags);
    code("host.device_pointer", cuMemHostGetDevicePointer_v2(&mapped, pinned, 0));
    say("host.device_pointer_same", "%d", mapped == (CUdeviceptr)pinned);
    code("host.flags_of_plain", cuMemHostGetFlags(&flags, plain));
    page = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    code("host.register", cuMemHostRegister_v2(page, MIB, 0));
    code("host.register_twice", cuMemHostRegister_v2(page, MIB, 0));
    code("host.register_zero", cuMemHostRegister_v2(plain, 0, 0));
    pointer_facts("device", device);
    pointer_facts("device_inside", device + 100);
    pointer_facts("managed", managed);
    pointer_facts("pinned", (CUdeviceptr)pinned);
    pointer_facts("registered", (CUdeviceptr)page);
    pointer_facts("plain", (CUdeviceptr)plain);
    code("host.unregister", cuMemHostUnregister(page));
    code("host.unregister_twice", cuMemHostUnregister(page));
    code("host.free_registered", cuMemFreeHost(page));
    code("host.free_device", cuMemFreeHost((void *)device));
    code("free.host_pointer", cuMemFree_v2((CUdeviceptr)pinned));
    code("host.free", cuMemFreeHost(pinned));
    code("host.free_twice", cuMemFreeHost(pinned));
    code("managed.free", cuMemFree_v2(managed));
    code("device.free", cuMemFree_v2(device));
    code("pointer.freed", cuPointerGetAttribute(&flags, 2, device));
    say("kinds.kept", "%lld", (long long)before - (long long)free_bytes());
}

static void arrays(void) {
    CUarray array = NULL;
    CUarrayDesc flat = {1024, 1024, 0x20, 4}, bad = {1024, 1024, 0x99, 4}, three = {1024, 1024, 0x20, 3};
    CUarray3DDesc deep = {256, 256, 256, 0x20, 1, 0};
    size_t before = free_bytes();
    code("array.create", cuArrayCreate_v2(&array, &flat));
    say("array.takes_1024x1024x16", "%lld", (long long)before - (long long)free_bytes());
    static float image[1024][4096], back[1024][4096];
    for (int y = 0; y < 1024; y++) image[y][0] = (float)y;
    CUcopy2D in = {.src_type = 1, .src_host = image, .src_pitch = 16384, .dst_type = 3, .dst_array = array, .width = 16384, .height = 1024};
    CUcopy2D out = {.src_type = 3, .src_array = array, .dst_type = 1, .dst_host = back, .dst_pitch = 16384, .width = 16384, .height = 1024};
    code("array.copy_in", cuMemcpy2D_v2(&in));
    code("array.copy_out", cuMemcpy2D_v2(&out));
    say("array.content_kept", "%d", memcmp(image, back, sizeof image) == 0);
    code("array.destroy", cuArrayDestroy(array));
    say("array.kept", "%lld", (long long)before - (long long)free_bytes());
    code("array.bad_format", cuArrayCreate_v2(&array, &bad));
    code("array.three_channels", cuArrayCreate_v2(&array, &three));
    flat.width = 0;
    code("array.width_0", cuArrayCreate_v2(&array, &flat));
    flat.width = 1 << 20;
    code("array.too_wide", cuArrayCreate_v2(&array, &flat));
    code("array.deep", cuArray3DCreate_v2(&array, &deep));
    say("array.deep_takes", "%lld", (long long)before - (long long)free_bytes());
    code("array.deep_destroy", cuArrayDestroy(array));
    code("array.null", cuArrayDestroy(NULL));
}

static void copies(void) {
    CUdeviceptr at = 0, to = 0;
    unsigned words[256], back[256];
    must(cuMemAlloc_v2(&at, MIB));
    must(cuMemAlloc_v2(&to, MIB));
    for (unsigned index = 0; index < 256; index++) words[index] = index * 2654435761u;
    must(cuMemcpyHtoD_v2(at, words, sizeof words));
    must(cuMemcpyDtoD_v2(to, at, sizeof words));
    must(cuMemsetD16_v2(to + 16, 0xabcd, 8));
    must(cuMemsetD2D32_v2(to + 256, 64, 5, 4, 3));
    must(cuMemcpy((CUdeviceptr)back, to, sizeof back));
    uint64_t sum = 0;
    for (unsigned index = 0; index < 256; index++) sum = sum * 31 + back[index];
    say("copy.sum", "%llu", (unsigned long long)sum);
    CUfunction fill = kernel("fill");
    unsigned value = 42;
    uint64_t count = 200;
    void *arguments[] = {&to, &value, &count};
    must(cuLaunchKernel(fill, 4, 1, 1, 32, 1, 1, 0, NULL, arguments, NULL));
    must(cuMemcpyDtoH_v2(back, to, sizeof back));
    say("copy.filled", "%u %u %d", back[0], back[199], back[200] == words[200]);
    must(cuMemFree_v2(at));
    must(cuMemFree_v2(to));
}

static void ipc(void) {
    CUipcHandle handle;
    CUdeviceptr at = 0, seen = 0;
    CUevent event = NULL;
    must(cuMemAlloc_v2(&at, 4 * MIB));
    code("ipc.get", cuIpcGetMemHandle(&handle, at));
    code("ipc.open_own", cuIpcOpenMemHandle_v2(&seen, handle, 1));
    code("ipc.get_inside", cuIpcGetMemHandle(&handle, at + 256));
    code("ipc.get_wild", cuIpcGetMemHandle(&handle, 0x12345000));
    code("ipc.close_own_pointer", cuIpcCloseMemHandle(at));
    memset(&handle, 0, sizeof handle);
    code("ipc.open_zeroes", cuIpcOpenMemHandle_v2(&seen, handle, 1));
    must(cuEventCreate(&event, 0));
    code("ipc.event_without_flag", cuIpcGetEventHandle(&handle, event));
    must(cuEventDestroy_v2(event));
    code("ipc.event_create", cuEventCreate(&event, 6));
    code("ipc.event_with_flag", cuIpcGetEventHandle(&handle, event));
    code("ipc.interprocess_needs_no_timing", cuEventCreate(&event, 4));
    must(cuMemFree_v2(at));
}

int main(void) {
    start();
    rounding();
    misuse();
    pitch();
    kinds();
    arrays();
    copies();
    ipc();
    code("context.at_end", cuCtxSynchronize());
    return 0;
}
