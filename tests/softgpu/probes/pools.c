/* Stream-ordered memory: what pools reserve, keep and give back, and what misuse of their pointers answers. */
#include "probe.h"

static CUmemoryPool pool;

static void show(const char *when, size_t before) {
    uint64_t reserved = 0, used = 0;
    char name[80];
    must(cuMemPoolGetAttribute(pool, 5, &reserved));
    must(cuMemPoolGetAttribute(pool, 7, &used));
    snprintf(name, sizeof name, "pool.%s", when);
    say(name, "reserved %llu used %llu taken %lld", (unsigned long long)reserved, (unsigned long long)used,
        (long long)before - (long long)free_bytes());
}

static void life(size_t before) {
    CUdeviceptr small = 0, large = 0, second = 0;
    uint64_t keep = 0;
    show("at_start", before);
    must(cuMemAllocAsync(&small, 1000, NULL));
    show("after_1000", before);
    must(cuMemAllocAsync(&second, 1000, NULL));
    say("pool.distance_of_1000", "%lld", (long long)(second - small));
    show("after_two_1000", before);
    must(cuMemAllocAsync(&large, 40 * MIB, NULL));
    show("after_40_mib", before);
    must(cuMemFreeAsync(large, NULL));
    show("freed_before_synchronize", before);
    must(cuStreamSynchronize(NULL));
    show("freed_after_synchronize", before);
    must(cuMemFreeAsync(small, NULL));
    must(cuMemFreeAsync(second, NULL));
    must(cuStreamSynchronize(NULL));
    show("all_freed", before);
    keep = (uint64_t)-1;
    must(cuMemPoolSetAttribute(pool, 4, &keep));
    must(cuMemAllocAsync(&large, 100 * MIB, NULL));
    show("keep_all_after_100_mib", before);
    must(cuMemFreeAsync(large, NULL));
    must(cuCtxSynchronize());
    show("keep_all_freed", before);
    must(cuMemAllocAsync(&small, 60 * MIB, NULL));
    show("keep_all_reused_60_mib", before);
    code("pool.trim", cuMemPoolTrimTo(pool, 0));
    show("trimmed_while_used", before);
    must(cuMemFreeAsync(small, NULL));
    must(cuCtxSynchronize());
    must(cuMemPoolTrimTo(pool, 10 * MIB));
    show("trimmed_to_10_mib", before);
    keep = 0;
    must(cuMemPoolSetAttribute(pool, 4, &keep));
    show("threshold_0_again", before);
    must(cuCtxSynchronize());
    show("threshold_0_synchronized", before);
    uint64_t high = 0;
    must(cuMemPoolGetAttribute(pool, 6, &high));
    say("pool.reserved_high", "%llu", (unsigned long long)high);
    must(cuMemPoolGetAttribute(pool, 8, &high));
    say("pool.used_high", "%llu", (unsigned long long)high);
    high = 5;
    code("pool.set_high_to_5", cuMemPoolSetAttribute(pool, 6, &high));
    high = 0;
    code("pool.set_high_to_0", cuMemPoolSetAttribute(pool, 6, &high));
    code("pool.set_reserved", cuMemPoolSetAttribute(pool, 5, &high));
}

static void misuse(void) {
    CUdeviceptr at = 0, plain = 0, set = 0xdeadbeef;
    size_t total = 0;
    CUstream stream = NULL;
    must(cuMemGetInfo_v2(&(size_t){0}, &total));
    must(cuStreamCreate(&stream, 1));
    code("misuse.zero_size", cuMemAllocAsync(&at, 0, NULL));
    code("misuse.zero_size_free", cuMemFreeAsync(at, NULL));
    code("misuse.null_out", cuMemAllocAsync(NULL, 64, NULL));
    code("misuse.too_much", cuMemAllocAsync(&set, total * 2, NULL));
    say("misuse.too_much_sets", "%llx", set);
    must(cuMemAllocAsync(&at, MIB, NULL));
    code("misuse.plain_free_of_pool_pointer", cuMemFree_v2(at));
    code("misuse.plain_free_twice", cuMemFree_v2(at));
    must(cuMemAllocAsync(&at, MIB, NULL));
    code("misuse.free", cuMemFreeAsync(at, NULL));
    code("misuse.free_twice", cuMemFreeAsync(at, NULL));
    must(cuCtxSynchronize());
    code("misuse.free_after_synchronize", cuMemFreeAsync(at, NULL));
    must(cuMemAlloc_v2(&plain, MIB));
    code("misuse.pool_free_of_plain_pointer", cuMemFreeAsync(plain, NULL));
    must(cuCtxSynchronize());
    code("misuse.then_plain_free", cuMemFree_v2(plain));
    code("misuse.free_null", cuMemFreeAsync(0, NULL));
    code("misuse.free_wild", cuMemFreeAsync(0x12345000, NULL));
    must(cuMemAllocAsync(&at, MIB, NULL));
    code("misuse.free_inside", cuMemFreeAsync(at + 512, NULL));
    code("misuse.ipc_of_pool_pointer", cuIpcGetMemHandle(&(CUipcHandle){0}, at));
    code("misuse.free_on_other_stream", cuMemFreeAsync(at, stream));
    must(cuCtxSynchronize());
    must(cuStreamDestroy_v2(stream));
}

static void made(CUdevice device) {
    CUmemoryPool own = NULL, same = NULL, none = NULL;
    CUpoolProps props = {.alloc_type = 1, .handle_types = 0, .location = {1, device}};
    CUdeviceptr at = 0, over = 0;
    int access = -1, file = -1;
    size_t before = free_bytes();
    code("made.create", cuMemPoolCreate(&own, &props));
    say("made.create_takes", "%lld", (long long)before - (long long)free_bytes());
    code("made.use", cuMemAllocFromPoolAsync(&at, 3 * MIB, own, NULL));
    say("made.use_takes", "%lld", (long long)before - (long long)free_bytes());
    code("made.access", cuMemPoolGetAccess(&access, own, &props.location));
    say("made.access_value", "%d", access);
    code("made.export_without_type", cuMemPoolExportToShareableHandle(&file, own, 1, 0));
    code("made.destroy_in_use", cuMemPoolDestroy(own));
    code("made.use_destroyed", cuMemAllocFromPoolAsync(&over, MIB, own, NULL));
    code("made.free_after_destroy", cuMemFreeAsync(at, NULL));
    must(cuCtxSynchronize());
    say("made.kept", "%lld", (long long)before - (long long)free_bytes());
    props.max_size = 64 * MIB;
    code("made.limited_create", cuMemPoolCreate(&own, &props));
    code("made.limited_within", cuMemAllocFromPoolAsync(&at, 40 * MIB, own, NULL));
    code("made.limited_beyond", cuMemAllocFromPoolAsync(&over, 40 * MIB, own, NULL));
    code("made.set_current", cuDeviceSetMemPool(device, own));
    code("made.get_current", cuDeviceGetMemPool(&same, device));
    say("made.current_is_it", "%d", same == own);
    must(cuMemFreeAsync(at, NULL));
    must(cuCtxSynchronize());
    code("made.destroy_current", cuMemPoolDestroy(own));
    code("made.get_current_after", cuDeviceGetMemPool(&same, device));
    say("made.current_is_default", "%d", same == pool);
    code("made.destroy_default", cuMemPoolDestroy(pool));
    code("made.destroy_null", cuMemPoolDestroy(NULL));
    props.max_size = 0, props.handle_types = 1;
    code("made.shareable_create", cuMemPoolCreate(&own, &props));
    code("made.shareable_export", cuMemPoolExportToShareableHandle(&file, own, 1, 0));
    say("made.shareable_is_file", "%d", file > 2);
    cuMemPoolDestroy(own);
    props.alloc_type = 7;
    code("made.bad_type", cuMemPoolCreate(&none, &props));
    props.alloc_type = 1, props.location.id = 99;
    code("made.bad_device", cuMemPoolCreate(&none, &props));
    code("made.null_out", cuMemPoolCreate(NULL, &props));
    code("made.null_props", cuMemPoolCreate(&none, NULL));
}

int main(void) {
    CUdevice device = start();
    char name[64];
    must(cuDeviceGetDefaultMemPool(&pool, device));
    for (int id = 0; id < 12; id++) {
        uint64_t value = 0;
        CUresult result = cuMemPoolGetAttribute(pool, id, &value);
        snprintf(name, sizeof name, "default.%d", id);
        say(name, "%d %llu", result, (unsigned long long)value);
    }
    life(free_bytes());
    misuse();
    made(device);
    code("context.at_end", cuCtxSynchronize());
    return 0;
}
