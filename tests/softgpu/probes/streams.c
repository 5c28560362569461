/* Streams, events, capture and graphs: order, codes of misuse, what may not be called while a stream is captured. */
#include "probe.h"

static void nothing(void *data) { *(int *)data += 1; }
static void forbidden(void *data) { *(int *)data = cuCtxSynchronize(); }

static void streams(void) {
    CUstream stream = NULL, high = NULL;
    CUevent event = NULL, other = NULL, untimed = NULL;
    CUfunction busy = kernel("busy");
    CUcontext owner = NULL;
    unsigned flags = 99;
    int priority = 99, called = 0;
    unsigned long long id = 0;
    float ms = -1;
    code("stream.create", cuStreamCreate(&stream, 1));
    code("stream.bad_flags", cuStreamCreate(&(CUstream){0}, 0x100));
    code("stream.null_out", cuStreamCreate(NULL, 0));
    code("stream.priority", cuStreamCreateWithPriority(&high, 1, -99));
    code("stream.get_priority", cuStreamGetPriority(high, &priority));
    say("stream.clamped_priority", "%d", priority);
    code("stream.flags", cuStreamGetFlags(stream, &flags));
    say("stream.flags_value", "%u", flags);
    code("stream.null_flags", cuStreamGetFlags(NULL, &flags));
    code("stream.id_legacy", cuStreamGetId(CU_STREAM_LEGACY, &id));
    say("stream.id_legacy_value", "%llu", id);
    code("stream.id_per_thread", cuStreamGetId(CU_STREAM_PER_THREAD, &id));
    say("stream.id_per_thread_value", "%llu", id);
    code("stream.context", cuStreamGetCtx(stream, &owner));
    code("query.idle", cuStreamQuery(stream));
    must(launch1(busy, 20000, stream));
    code("query.busy", cuStreamQuery(stream));
    code("query.null_while_nonblocking_busy", cuStreamQuery(NULL));
    must(cuStreamSynchronize(stream));
    code("event.create", cuEventCreate(&event, 0));
    code("event.create_other", cuEventCreate(&other, 0));
    code("event.create_untimed", cuEventCreate(&untimed, 2));
    code("event.bad_flags", cuEventCreate(&(CUevent){0}, 0x100));
    code("event.null_out", cuEventCreate(NULL, 0));
    code("event.query_unrecorded", cuEventQuery(event));
    code("event.synchronize_unrecorded", cuEventSynchronize(event));
    code("event.elapsed_unrecorded", cuEventElapsedTime(&ms, event, other));
    code("event.elapsed_null_out", cuEventElapsedTime(NULL, event, other));
    must(cuEventRecord(event, stream));
    must(launch1(busy, 20000, stream));
    must(cuEventRecord(other, stream));
    code("event.query_busy", cuEventQuery(other));
    code("event.elapsed_busy", cuEventElapsedTime(&ms, event, other));
    must(cuEventRecord(untimed, stream));
    code("event.wait", cuStreamWaitEvent(high, other, 0));
    must(launch1(busy, 1, high));
    code("query.waiting", cuStreamQuery(high));
    must(cuEventSynchronize(untimed));
    code("event.elapsed", cuEventElapsedTime(&ms, event, other));
    say("event.elapsed_of_20_ms_in_range", "%d", ms > 19.9f && ms < 21.0f);
    code("event.elapsed_untimed", cuEventElapsedTime(&ms, event, untimed));
    code("event.elapsed_backwards", cuEventElapsedTime(&ms, other, event));
    say("event.elapsed_backwards_negative", "%d", ms < 0);
    code("event.wait_bad_flags", cuStreamWaitEvent(high, other, 0x10));
    code("event.record_null", cuEventRecord(NULL, stream));
    code("event.destroy_null", cuEventDestroy_v2(NULL));
    code("host.function", cuLaunchHostFunc(stream, nothing, &called));
    must(cuStreamSynchronize(stream));
    say("host.function_called", "%d", called);
    called = -1;
    code("host.function_calling_back", cuLaunchHostFunc(stream, forbidden, &called));
    must(cuStreamSynchronize(stream));
    say("host.function_may_not_call", "%d", called);
    code("stream.destroy_legacy", cuStreamDestroy_v2(CU_STREAM_LEGACY));
    code("stream.destroy_null", cuStreamDestroy_v2(NULL));
    must(launch1(busy, 20000, high));
    code("stream.destroy_busy", cuStreamDestroy_v2(high));
    code("stream.destroy", cuStreamDestroy_v2(stream));
    must(cuCtxSynchronize());
    must(cuEventDestroy_v2(event));
    must(cuEventDestroy_v2(other));
    must(cuEventDestroy_v2(untimed));
}

static void launches(void) {
    CUfunction busy = kernel("busy");
    uint64_t one = 1;
    void *arguments[] = {&one};
    CUlaunchConfig config = {1, 1, 1, 1, 1, 1, 0, NULL, NULL, 0};
    code("launch.grid_0", cuLaunchKernel(busy, 0, 1, 1, 1, 1, 1, 0, NULL, arguments, NULL));
    code("launch.block_0", cuLaunchKernel(busy, 1, 1, 1, 0, 1, 1, 0, NULL, arguments, NULL));
    code("launch.block_2048", cuLaunchKernel(busy, 1, 1, 1, 2048, 1, 1, 0, NULL, arguments, NULL));
    code("launch.block_z_128", cuLaunchKernel(busy, 1, 1, 1, 1, 1, 128, 0, NULL, arguments, NULL));
    code("launch.grid_y_70000", cuLaunchKernel(busy, 1, 70000, 1, 1, 1, 1, 0, NULL, arguments, NULL));
    code("launch.shared_1_mib", cuLaunchKernel(busy, 1, 1, 1, 1, 1, 1, 1 << 20, NULL, arguments, NULL));
    code("launch.null_function", cuLaunchKernel(NULL, 1, 1, 1, 1, 1, 1, 0, NULL, arguments, NULL));
    code("launch.no_arguments", cuLaunchKernel(busy, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL));
    size_t size = 8;
    void *extra[] = {(void *)1, &one, (void *)2, &size, NULL};
    code("launch.packed", cuLaunchKernel(busy, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, extra));
    code("launch.both", cuLaunchKernel(busy, 1, 1, 1, 1, 1, 1, 0, NULL, arguments, extra));
    code("launch.extended", cuLaunchKernelEx(&config, busy, arguments, NULL));
    code("launch.extended_null", cuLaunchKernelEx(NULL, busy, arguments, NULL));
    code("launch.cooperative", cuLaunchCooperativeKernel(busy, 4, 1, 1, 32, 1, 1, 0, NULL, arguments));
    code("launch.cooperative_too_many", cuLaunchCooperativeKernel(busy, 1000000, 1, 1, 32, 1, 1, 0, NULL, arguments));
    code("launch.per_thread", cuLaunchKernel_ptsz(busy, 1, 1, 1, 1, 1, 1, 0, NULL, arguments, NULL));
    code("launch.on_per_thread_stream", launch1(busy, 1, CU_STREAM_PER_THREAD));
    code("launch.synchronize", cuCtxSynchronize());
    /* The legacy stream waits for blocking streams; the per-thread one does not wait for non-blocking ones. */
    CUstream blocking = NULL;
    must(cuStreamCreate(&blocking, 0));
    must(launch1(busy, 20000, blocking));
    must(launch1(busy, 1, NULL));
    code("order.legacy_behind_blocking", cuStreamQuery(NULL));
    uint64_t began = now_ns();
    must(cuStreamSynchronize(NULL));
    say("order.legacy_waited", "%d", now_ns() - began > 10000000);
    must(launch1(busy, 20000, blocking));
    must(cuLaunchKernel_ptsz(busy, 1, 1, 1, 1, 1, 1, 0, NULL, arguments, NULL));
    began = now_ns();
    must(cuStreamSynchronize(CU_STREAM_PER_THREAD));
    say("order.per_thread_waited", "%d", now_ns() - began > 10000000);
    must(cuStreamDestroy_v2(blocking));
    must(cuCtxSynchronize());
}

static CUstream captured;

/* Begins a capture, lets `call` happen, ends it; prints the call's code and what became of the capture. */
#define during(name, call)                                                                                             \
    do {                                                                                                               \
        CUgraph during_graph = NULL;                                                                                   \
        must(cuStreamBeginCapture_v2(captured, mode));                                                                 \
        int during_code = (int)(call), during_status = -1;                                                             \
        CUresult during_is = cuStreamIsCapturing(captured, &during_status);                                            \
        CUresult during_end = cuStreamEndCapture(captured, &during_graph);                                             \
        say(name, "%d then status %d %d end %d graph %d", during_code, during_is, during_status, during_end,           \
            during_graph != NULL);                                                                                     \
        if (during_graph) cuGraphDestroy(during_graph);                                                                \
    } while (0)

static void capture(int mode, const char *word) {
    char name[96];
    CUdeviceptr at = 0, fresh = 0;
    CUstream elsewhere = NULL;
    CUevent event = NULL, before = NULL;
    CUfunction busy = kernel("busy");
    unsigned host = 0;
    int called = 0;
    must(cuMemAlloc_v2(&at, 4096));
    must(cuStreamCreate(&captured, 1));
    must(cuStreamCreate(&elsewhere, 1));
    must(cuEventCreate(&event, 0));
    must(cuEventCreate(&before, 0));
    must(cuEventRecord(before, elsewhere));
#define step(what, call)                                                                                               \
    snprintf(name, sizeof name, "capture.%s.%s", word, what);                                                          \
    during(name, call)
    step("nothing", 0);
    step("launch", launch1(busy, 1, captured));
    step("memset", cuMemsetD8Async(at, 1, 16, captured));
    step("copy", cuMemcpyHtoDAsync_v2(at, &host, 4, captured));
    step("host_function", cuLaunchHostFunc(captured, nothing, &called));
    step("event_record", cuEventRecord(event, captured));
    step("event_query", (cuEventRecord(event, captured), cuEventQuery(event)));
    step("event_synchronize", (cuEventRecord(event, captured), cuEventSynchronize(event)));
    step("event_of_others", cuStreamWaitEvent(captured, before, 0));
    step("stream_query", cuStreamQuery(captured));
    step("stream_synchronize", cuStreamSynchronize(captured));
    step("context_synchronize", cuCtxSynchronize());
    step("other_stream_query", cuStreamQuery(elsewhere));
    step("other_stream_synchronize", cuStreamSynchronize(elsewhere));
    step("other_stream_launch", launch1(busy, 1, elsewhere));
    step("legacy_launch", launch1(busy, 1, NULL));
    step("legacy_query", cuStreamQuery(NULL));
    step("legacy_copy", cuMemcpyHtoD_v2(at, &host, 4));
    step("alloc", cuMemAlloc_v2(&fresh, 4096));
    if (fresh) cuMemFree_v2(fresh), fresh = 0;
    step("alloc_host", cuMemHostAlloc(&(void *){0}, 4096, 0));
    step("alloc_async", cuMemAllocAsync(&fresh, 4096, captured));
    step("free_plain", cuMemFree_v2(at));
    cuMemFree_v2(at), cuMemAlloc_v2(&at, 4096);
    step("mem_info", cuMemGetInfo_v2(&(size_t){0}, &(size_t){0}));
    step("stream_create", cuStreamCreate(&(CUstream){0}, 1));
    step("event_create", cuEventCreate(&(CUevent){0}, 0));
    step("module_load", cuModuleLoadData(&(CUmodule){0}, KERNELS));
    step("begin_again", cuStreamBeginCapture_v2(captured, mode));
    step("unjoined_fork", (cuEventRecord(event, captured), cuStreamWaitEvent(elsewhere, event, 0)));
    step("destroy_it", cuStreamWriteValue32_v2(captured, at, 1, 0));
#undef step
    must(cuStreamBeginCapture_v2(captured, mode));
    snprintf(name, sizeof name, "capture.%s.destroy_stream", word);
    code(name, cuStreamDestroy_v2(captured));
    must(cuStreamDestroy_v2(elsewhere));
    must(cuEventDestroy_v2(event));
    must(cuEventDestroy_v2(before));
    cuCtxSynchronize();
    cuMemFree_v2(at);
}

int main(void) {
    CUstream stream = NULL;
    CUgraph graph = NULL;
    start();
    streams();
    launches();
    capture(0, "global");
    capture(1, "thread");
    capture(2, "relaxed");
    must(cuStreamCreate(&stream, 1));
    code("capture.end_without_begin", cuStreamEndCapture(stream, &graph));
    code("capture.begin_legacy", cuStreamBeginCapture_v2(NULL, 0));
    code("capture.begin_per_thread", cuStreamBeginCapture_v2(CU_STREAM_PER_THREAD, 0));
    code("capture.end_per_thread", cuStreamEndCapture(CU_STREAM_PER_THREAD, &graph));
    code("capture.bad_mode", cuStreamBeginCapture_v2(stream, 9));
    code("context.at_end", cuCtxSynchronize());
    return 0;
}
