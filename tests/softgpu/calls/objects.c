/* What graphs keep alive, how they are drawn, events of whole contexts, the log, and what fits on a device. */
#include "check.h"

static volatile unsigned ended[4];
static CUresult inside;

static void end(void *object) {
    inside = cuCtxSynchronize();
    __atomic_add_fetch((volatile unsigned *)object, 1, __ATOMIC_RELEASE);
}

static CUuserObject object_of(volatile unsigned *count, unsigned references) {
    CUuserObject object = NULL;
    *count = 0;
    works(cuUserObjectCreate(&object, (void *)(uintptr_t)count, end, references, CU_USER_OBJECT_NO_DESTRUCTOR_SYNC));
    return object;
}

/* No end came, though there was time for it: something later has ended by the same thread. */
static int lives(volatile unsigned *count) {
    static volatile unsigned later;
    works(cuUserObjectRelease(object_of(&later, 1), 1));
    expect(becomes(&later, 1));
    return *count == 0;
}

static void the_last_reference_ends_an_object(void) {
    CUuserObject object = object_of(&ended[0], 2);
    works(cuUserObjectRetain(object, 3));
    works(cuUserObjectRelease(object, 4));
    expect(lives(&ended[0]));
    works(cuUserObjectRelease(object, 1));
    expect(becomes(&ended[0], 1));
    expect(inside == CUDA_ERROR_NOT_PERMITTED);
    answers(CUDA_ERROR_INVALID_VALUE, cuUserObjectCreate(NULL, NULL, end, 1, 1));
    answers(CUDA_ERROR_INVALID_VALUE, cuUserObjectCreate(&object, NULL, NULL, 1, 1));
    answers(CUDA_ERROR_INVALID_VALUE, cuUserObjectCreate(&object, NULL, end, 0, 1));
    answers(CUDA_ERROR_INVALID_VALUE, cuUserObjectCreate(&object, NULL, end, 1, 0));
    answers(CUDA_ERROR_INVALID_VALUE, cuUserObjectRetain(NULL, 1));
    answers(CUDA_ERROR_INVALID_VALUE, cuUserObjectRelease(NULL, 1));
}

/* A graph, its clone, its instance and a launch under way: each keeps the object. */
static void graphs_and_launches_keep_objects(void) {
    CUgraph graph = new_graph(), clone = NULL, parent = new_graph();
    CUgraphNode node = NULL;
    CUstream stream = NULL;
    volatile unsigned *word = pinned(64);
    CUuserObject object = object_of(&ended[0], 1), moved = object_of(&ended[1], 1);
    CUstreamBatchMemOpParams op = {.waitValue = {CU_STREAM_MEM_OP_WAIT_VALUE_32, (CUdeviceptr)(uintptr_t)word, {1}, CU_STREAM_WAIT_VALUE_EQ, 0}};
    CUDA_BATCH_MEM_OP_NODE_PARAMS params = {.ctx = context, .count = 1, .paramArray = &op};
    works(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    works(cuGraphAddBatchMemOpNode(&node, graph, NULL, 0, &params));
    works(cuGraphRetainUserObject(graph, object, 2, 0));
    works(cuGraphRetainUserObject(graph, moved, 1, CU_GRAPH_USER_OBJECT_MOVE));
    works(cuUserObjectRelease(object, 1));
    works(cuGraphReleaseUserObject(graph, object, 1));
    works(cuGraphClone(&clone, graph));
    works(cuGraphAddChildGraphNode(&node, parent, NULL, 0, clone));
    works(cuGraphDestroy(graph));
    works(cuGraphDestroy(clone));
    expect(lives(&ended[0]) && ended[1] == 0);
    CUgraphExec exec = instance(parent);
    works(cuGraphDestroy(parent));
    expect(lives(&ended[0]) && ended[1] == 0);
    works(cuGraphLaunch(exec, stream));
    works(cuGraphExecDestroy(exec));
    expect(lives(&ended[0]) && ended[1] == 0);
    answers(CUDA_ERROR_NOT_READY, cuStreamQuery(stream));
    *word = 1;
    works(cuStreamSynchronize(stream));
    expect(becomes(&ended[0], 1) && becomes(&ended[1], 1));
    expect(ended[0] == 1 && ended[1] == 1);
    graph = new_graph(), object = object_of(&ended[2], 1);
    works(cuGraphRetainUserObject(graph, object, 1, 0));
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphReleaseUserObject(graph, object, 2));
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphRetainUserObject(graph, object, 0, 0));
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphRetainUserObject(graph, object, 1, 2));
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphRetainUserObject(NULL, object, 1, 0));
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphRetainUserObject(graph, NULL, 1, 0));
    works(cuGraphReleaseUserObject(graph, object, 1));
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphReleaseUserObject(graph, object, 1));
    expect(lives(&ended[2]));
    works(cuUserObjectRelease(object, 1));
    expect(becomes(&ended[2], 1));
    works(cuGraphDestroy(graph));
    works(cuStreamDestroy(stream));
}

/* An instance that becomes like another graph keeps that graph's objects from then on. */
static void updates_exchange_objects(void) {
    CUgraph one = new_graph(), other = new_graph();
    CUgraphExecUpdateResultInfo why;
    works(cuGraphRetainUserObject(one, object_of(&ended[0], 1), 1, CU_GRAPH_USER_OBJECT_MOVE));
    works(cuGraphRetainUserObject(other, object_of(&ended[1], 1), 1, CU_GRAPH_USER_OBJECT_MOVE));
    CUgraphExec exec = instance(one);
    works(cuGraphDestroy(one));
    works(cuGraphExecUpdate(exec, other, &why));
    expect(becomes(&ended[0], 1));
    works(cuGraphDestroy(other));
    expect(lives(&ended[1]));
    works(cuGraphExecDestroy(exec));
    expect(becomes(&ended[1], 1));
    /* So does the instance of a child graph; what the outer graph keeps stays. */
    CUgraph outer = new_graph(), inner = new_graph();
    CUgraphNode child = NULL;
    works(cuGraphRetainUserObject(outer, object_of(&ended[0], 1), 1, CU_GRAPH_USER_OBJECT_MOVE));
    works(cuGraphRetainUserObject(inner, object_of(&ended[1], 1), 1, CU_GRAPH_USER_OBJECT_MOVE));
    works(cuGraphAddChildGraphNode(&child, outer, NULL, 0, inner));
    works(cuGraphDestroy(inner));
    exec = instance(outer), inner = new_graph();
    works(cuGraphRetainUserObject(inner, object_of(&ended[2], 1), 1, CU_GRAPH_USER_OBJECT_MOVE));
    works(cuGraphExecChildGraphNodeSetParams(exec, child, inner));
    works(cuGraphDestroy(inner));
    expect(lives(&ended[1]));
    works(cuGraphDestroy(outer));
    expect(becomes(&ended[1], 1));
    expect(lives(&ended[0]) && ended[2] == 0);
    works(cuGraphExecDestroy(exec));
    expect(becomes(&ended[0], 1) && becomes(&ended[2], 1));
    /* A recording that fails lets go of what it was to keep. */
    CUstream stream = NULL;
    CUgraph graph = NULL;
    CUstreamCaptureStatus status;
    works(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    works(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
    works(cuStreamGetCaptureInfo(stream, &status, NULL, &graph, NULL, NULL, NULL));
    works(cuGraphRetainUserObject(graph, object_of(&ended[0], 1), 1, CU_GRAPH_USER_OBJECT_MOVE));
    answers(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, cuStreamSynchronize(stream));
    answers(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, cuStreamEndCapture(stream, &graph));
    expect(becomes(&ended[0], 1));
    works(cuStreamDestroy(stream));
}

static void a_graph_is_drawn(void) {
    CUgraph graph = new_graph();
    CUgraphNode first = NULL, second = NULL;
    CUdeviceptr at = device_words(4);
    unsigned value = 1;
    uint64_t words = 1;
    void *list[] = {&at, &value, &words};
    CUDA_KERNEL_NODE_PARAMS params = {.func = fill, .gridDimX = 9, .gridDimY = 1, .gridDimZ = 1, .blockDimX = 1, .blockDimY = 1, .blockDimZ = 1, .kernelParams = list};
    char path[] = "/tmp/fastgpu-dot-XXXXXX", text[8192];
    int file = mkstemp(path);
    works(cuGraphAddKernelNode(&first, graph, NULL, 0, &params));
    works(cuGraphAddEmptyNode(&second, graph, &first, 1));
    for (unsigned verbose = 0; verbose < 2; verbose++) {
        works(cuGraphDebugDotPrint(graph, path, verbose));
        FILE *opened = fopen(path, "r");
        text[fread(text, 1, sizeof text - 1, opened)] = 0;
        fclose(opened);
        expect(!strncmp(text, "digraph", 7) && strstr(text, "fill") && strstr(text, "->"));
        expect(!strstr(text, "9, 1, 1") == !verbose);
    }
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphDebugDotPrint(graph, NULL, 0));
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphDebugDotPrint(NULL, path, 0));
    answers(CUDA_ERROR_OPERATING_SYSTEM, cuGraphDebugDotPrint(graph, "/nowhere/at/all", 0));
    if (file >= 0) remove(path);
    works(cuGraphDestroy(graph));
}

static void events_stand_for_whole_contexts(void) {
    CUstream one = NULL, other = NULL, later = NULL;
    CUevent all = NULL, gate = NULL;
    CUcontext second = NULL;
    volatile unsigned *word = pinned(64);
    works(cuStreamCreate(&one, CU_STREAM_NON_BLOCKING));
    works(cuStreamCreate(&other, CU_STREAM_NON_BLOCKING));
    works(cuEventCreate(&all, CU_EVENT_DISABLE_TIMING));
    works(cuEventCreate(&gate, CU_EVENT_DISABLE_TIMING));
    /* Reached when both streams are over, and no sooner. */
    works(cuStreamWaitValue32(one, (CUdeviceptr)(uintptr_t)&word[0], 1, CU_STREAM_WAIT_VALUE_EQ));
    works(cuStreamWaitValue32(other, (CUdeviceptr)(uintptr_t)&word[1], 1, CU_STREAM_WAIT_VALUE_EQ));
    works(cuCtxRecordEvent(context, all));
    word[0] = 1;
    works(cuStreamSynchronize(one));
    answers(CUDA_ERROR_NOT_READY, cuEventQuery(all));
    word[1] = 1;
    works(cuEventSynchronize(all));
    works(cuStreamQuery(other));
    /* All that comes later waits, also in a stream that comes later. */
    works(cuStreamWaitValue32(one, (CUdeviceptr)(uintptr_t)&word[2], 1, CU_STREAM_WAIT_VALUE_EQ));
    works(cuEventRecord(gate, one));
    works(cuCtxWaitEvent(context, gate));
    works(cuStreamWriteValue32(other, (CUdeviceptr)(uintptr_t)&word[3], 1, 0));
    works(cuStreamCreate(&later, CU_STREAM_NON_BLOCKING));
    works(cuStreamWriteValue32(later, (CUdeviceptr)(uintptr_t)&word[4], 1, 0));
    nanosleep(&(struct timespec){0, 3000000}, NULL);
    answers(CUDA_ERROR_NOT_READY, cuStreamQuery(other));
    answers(CUDA_ERROR_NOT_READY, cuStreamQuery(later));
    expect(word[3] == 0 && word[4] == 0);
    word[2] = 1;
    works(cuStreamSynchronize(later));
    works(cuStreamSynchronize(other));
    expect(word[3] == 1 && word[4] == 1);
    answers(CUDA_ERROR_INVALID_CONTEXT, cuCtxRecordEvent(NULL, all));
    answers(CUDA_ERROR_INVALID_CONTEXT, cuCtxWaitEvent(NULL, all));
    answers(CUDA_ERROR_INVALID_HANDLE, cuCtxRecordEvent(context, NULL));
    answers(CUDA_ERROR_INVALID_HANDLE, cuCtxWaitEvent(context, NULL));
    works(cuCtxCreate(&second, NULL, 0, device));
    answers(CUDA_ERROR_INVALID_HANDLE, cuCtxRecordEvent(second, all));
    works(cuCtxWaitEvent(second, all));
    works(cuCtxDestroy(second));
    works(cuCtxSetCurrent(context));
    CUgraph graph = NULL;
    works(cuStreamBeginCapture(one, CU_STREAM_CAPTURE_MODE_GLOBAL));
    answers(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, cuCtxRecordEvent(context, all));
    answers(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, cuStreamEndCapture(one, &graph));
    works(cuStreamBeginCapture(one, CU_STREAM_CAPTURE_MODE_GLOBAL));
    answers(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, cuCtxWaitEvent(context, all));
    answers(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, cuStreamEndCapture(one, &graph));
}

static void listen_to(void *data, CUlogLevel level, char *message, size_t length) {
    (void)data, (void)level, (void)message, (void)length;
}

static void the_log_is_empty(void) {
    CUlogsCallbackHandle listener = NULL;
    CUlogIterator end_of_log = 7;
    char buffer[64] = "something";
    size_t size = sizeof buffer;
    works(cuLogsRegisterCallback(listen_to, NULL, &listener));
    works(cuLogsUnregisterCallback(listener));
    if (is_ours()) answers(CUDA_ERROR_INVALID_VALUE, cuLogsUnregisterCallback(listener));
    answers(CUDA_ERROR_INVALID_VALUE, cuLogsRegisterCallback(NULL, NULL, &listener));
    works(cuLogsCurrent(&end_of_log, 0));
    works(cuLogsDumpToMemory(&end_of_log, buffer, &size, 0));
    expect(size == 0 && buffer[0] == 0);
    answers(CUDA_ERROR_INVALID_VALUE, cuLogsCurrent(NULL, 0));
    answers(CUDA_ERROR_INVALID_VALUE, cuLogsCurrent(&end_of_log, 1));
    answers(CUDA_ERROR_INVALID_VALUE, cuLogsDumpToMemory(NULL, NULL, &size, 0));
    answers(CUDA_ERROR_INVALID_VALUE, cuLogsDumpToFile(NULL, NULL, 0));
    char path[] = "/tmp/fastgpu-log-XXXXXX";
    int file = mkstemp(path);
    works(cuLogsDumpToFile(NULL, path, 0));
    if (file >= 0) remove(path);
}

static void clusters_fit(void) {
    CUlaunchAttribute shape = {.id = CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION, .value = {.clusterDim = {4, 2, 1}}};
    CUlaunchConfig config = {.gridDimX = 64, .gridDimY = 2, .gridDimZ = 1, .blockDimX = 128, .blockDimY = 1, .blockDimZ = 1, .attrs = &shape, .numAttrs = 1};
    int most = 0, fit = 0, multiprocessors = 0, per = 0, grid = 0, block = 0;
    works(cuOccupancyMaxPotentialClusterSize(&most, fill, &config));
    expect(most == 8);
    works(cuDeviceGetAttribute(&multiprocessors, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, device));
    works(cuOccupancyMaxActiveBlocksPerMultiprocessor(&per, fill, 128, 0));
    works(cuOccupancyMaxActiveClusters(&fit, fill, &config));
    expect(fit > 0 && 8 * fit <= per * multiprocessors);
    shape.value.clusterDim.x = 16;
    answers(CUDA_ERROR_INVALID_CLUSTER_SIZE, cuOccupancyMaxActiveClusters(&fit, fill, &config));
    config.numAttrs = 0;
    answers(CUDA_ERROR_INVALID_CLUSTER_SIZE, cuOccupancyMaxActiveClusters(&fit, fill, &config));
    answers(CUDA_ERROR_INVALID_VALUE, cuOccupancyMaxActiveClusters(&fit, fill, NULL));
    answers(CUDA_ERROR_INVALID_VALUE, cuOccupancyMaxPotentialClusterSize(NULL, fill, &config));
    works(cuFuncSetAttribute(fill, CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED, 1));
    works(cuOccupancyMaxPotentialClusterSize(&most, fill, &config));
    expect(most == 16);
    works(cuOccupancyMaxPotentialBlockSizeWithFlags(&grid, &block, fill, NULL, 0, 256, CU_OCCUPANCY_DISABLE_CACHING_OVERRIDE));
    expect(block > 0 && block <= 256 && grid >= multiprocessors);
    answers(CUDA_ERROR_INVALID_VALUE, cuOccupancyMaxPotentialBlockSizeWithFlags(&grid, &block, fill, NULL, 0, 256, 2));
    answers(CUDA_ERROR_NOT_SUPPORTED, form("cuProfilerInitialize", (const char *, const char *, int))("a", "b", 0));
}

int main(void) {
    the_log_is_empty();
    start();
    the_last_reference_ends_an_object();
    graphs_and_launches_keep_objects();
    updates_exchange_objects();
    a_graph_is_drawn();
    events_stand_for_whole_contexts();
    clusters_fit();
    return verdict_at_rest();
}
