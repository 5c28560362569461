/* Kernel nodes: what they were told, their attributes, and what recording a stream makes of launches, copies and events. */
#include "check.h"

#define OLD CUDA_KERNEL_NODE_PARAMS_v1

static CUDA_KERNEL_NODE_PARAMS filling(void **list) {
    return (CUDA_KERNEL_NODE_PARAMS){
        .func = fill, .gridDimX = 3, .gridDimY = 2, .gridDimZ = 1, .blockDimX = 32, .blockDimY = 2, .blockDimZ = 1,
        .sharedMemBytes = 128, .kernelParams = list};
}

static void parameters_come_back(void) {
    CUgraph graph = new_graph();
    CUgraphNode node = NULL, empty = NULL, old_node = NULL;
    CUdeviceptr at = device_words(64), other = device_words(64);
    unsigned value = 31;
    uint64_t words = 4;
    void *list[] = {&at, &value, &words}, **shown = NULL;
    CUDA_KERNEL_NODE_PARAMS params = filling(list), got;
    OLD old;
    works(cuGraphAddKernelNode(&node, graph, NULL, 0, &params));
    works(cuGraphAddEmptyNode(&empty, graph, NULL, 0));
    value = 99;
    memset(&got, 0, sizeof got);
    works(cuGraphKernelNodeGetParams(node, &got));
    expect(got.func == fill && got.gridDimX == 3 && got.gridDimY == 2 && got.blockDimY == 2 && got.sharedMemBytes == 128);
    expect(got.extra == NULL && got.kern == NULL && got.kernelParams != list);
    expect(*(CUdeviceptr *)got.kernelParams[0] == at && *(unsigned *)got.kernelParams[1] == 31 && *(uint64_t *)got.kernelParams[2] == 4);
    shown = got.kernelParams;
    works(cuGraphKernelNodeGetParams(node, &got));
    expect(got.kernelParams == shown);
    /* The form of before CUDA 12 writes less, and nothing behind that. */
    struct { OLD params; uint64_t behind[2]; } room;
    memset(&room, 0x5a, sizeof room);
    works(form("cuGraphKernelNodeGetParams", (CUgraphNode, OLD *))(node, &room.params));
    expect(room.params.func == fill && room.params.gridDimX == 3 && room.params.kernelParams == shown);
    expect(room.behind[0] == 0x5a5a5a5a5a5a5a5aull && room.behind[1] == 0x5a5a5a5a5a5a5a5aull);
    /* What was given can be given back, with one thing changed. */
    got.kernelParams = (void *[]){&other, got.kernelParams[1], got.kernelParams[2]};
    works(cuGraphKernelNodeSetParams(node, &got));
    old = room.params, old.kernelParams = list;
    works(form("cuGraphAddKernelNode", (CUgraphNode *, CUgraph, const CUgraphNode *, size_t, const OLD *))(&old_node, graph, NULL, 0, &old));
    CUgraphExec exec = instance(graph);
    run(exec, NULL);
    expect(word_at(other) == 31 && word_at(other + 12) == 31 && word_at(other + 16) == 0 && word_at(at) == 99);
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphKernelNodeGetParams(empty, &got));
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphKernelNodeGetParams(node, NULL));
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphKernelNodeGetParams(NULL, &got));
    answers(CUDA_ERROR_INVALID_VALUE, form("cuGraphKernelNodeGetParams", (CUgraphNode, OLD *))(empty, &old));
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphKernelNodeSetParams(empty, &params));
    works(cuGraphExecDestroy(exec));
    works(cuGraphDestroy(graph));
}

/* Arguments that came in one buffer come back in one. */
static void packed_arguments_come_back_packed(void) {
    CUgraph graph = new_graph();
    CUgraphNode node = NULL;
    CUdeviceptr at = device_words(8);
    struct { CUdeviceptr at; unsigned value, gap; uint64_t words; } packed = {at, 41, 0, 3};
    size_t size = sizeof packed;
    void *extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, &packed, CU_LAUNCH_PARAM_BUFFER_SIZE, &size, CU_LAUNCH_PARAM_END};
    CUDA_KERNEL_NODE_PARAMS params = filling(NULL), got;
    params.extra = extra;
    works(cuGraphAddKernelNode(&node, graph, NULL, 0, &params));
    packed.value = 0;
    works(cuGraphKernelNodeGetParams(node, &got));
    expect(got.kernelParams == NULL && got.extra[0] == CU_LAUNCH_PARAM_BUFFER_POINTER && got.extra[2] == CU_LAUNCH_PARAM_BUFFER_SIZE);
    expect(got.extra[4] == CU_LAUNCH_PARAM_END && *(size_t *)got.extra[3] == sizeof packed);
    memcpy(&packed, got.extra[1], sizeof packed);
    expect(packed.at == at && packed.value == 41 && packed.words == 3);
    works(cuGraphKernelNodeSetParams(node, &got));
    CUgraphExec exec = instance(graph);
    run(exec, NULL);
    expect(word_at(at) == 41 && word_at(at + 8) == 41 && word_at(at + 12) == 0);
    works(cuGraphExecDestroy(exec));
    works(cuGraphDestroy(graph));
}

/* A kernel of a library belongs to no context and stays a kernel. */
static void kernels_of_libraries_stay_such(void) {
    CUlibrary library = NULL;
    CUkernel kernel = NULL;
    CUgraph graph = new_graph();
    CUgraphNode node = NULL;
    CUdeviceptr at = device_words(4);
    unsigned value = 5;
    uint64_t words = 1;
    void *list[] = {&at, &value, &words};
    CUDA_KERNEL_NODE_PARAMS params = filling(list), got;
    works(cuLibraryLoadData(&library, KERNELS, NULL, NULL, 0, NULL, NULL, 0));
    works(cuLibraryGetKernel(&kernel, library, "fill"));
    params.func = NULL, params.kern = kernel, params.ctx = context;
    works(cuGraphAddKernelNode(&node, graph, NULL, 0, &params));
    works(cuGraphKernelNodeGetParams(node, &got));
    expect(got.func == NULL && got.kern == kernel && got.ctx == context);
    CUgraphExec exec = instance(graph);
    run(exec, NULL);
    expect(word_at(at) == 5);
    works(cuGraphExecDestroy(exec));
    works(cuGraphDestroy(graph));
    works(cuLibraryUnload(library));
}

static void attributes_are_kept_and_copied(void) {
    CUgraph graph = new_graph(), copy = NULL;
    CUgraphNode one = NULL, other = NULL, empty = NULL, cloned = NULL;
    CUdeviceptr at = device_words(4);
    unsigned value = 5;
    uint64_t words = 1;
    void *list[] = {&at, &value, &words};
    CUDA_KERNEL_NODE_PARAMS params = filling(list);
    CUkernelNodeAttrValue set = {0}, got;
    works(cuGraphAddKernelNode(&one, graph, NULL, 0, &params));
    works(cuGraphAddKernelNode(&other, graph, NULL, 0, &params));
    works(cuGraphAddEmptyNode(&empty, graph, NULL, 0));
    set.accessPolicyWindow = (CUaccessPolicyWindow){
        .base_ptr = (void *)(uintptr_t)at, .num_bytes = 16, .hitRatio = 0.5f, .hitProp = CU_ACCESS_PROPERTY_PERSISTING,
        .missProp = CU_ACCESS_PROPERTY_STREAMING};
    works(cuGraphKernelNodeSetAttribute(one, CU_KERNEL_NODE_ATTRIBUTE_ACCESS_POLICY_WINDOW, &set));
    works(cuGraphKernelNodeSetAttribute(one, CU_KERNEL_NODE_ATTRIBUTE_PRIORITY, &(CUkernelNodeAttrValue){.priority = -3}));
    memset(&got, 0, sizeof got);
    works(cuGraphKernelNodeGetAttribute(one, CU_KERNEL_NODE_ATTRIBUTE_ACCESS_POLICY_WINDOW, &got));
    expect(!memcmp(&got.accessPolicyWindow, &set.accessPolicyWindow, 28));
    works(cuGraphKernelNodeGetAttribute(one, CU_KERNEL_NODE_ATTRIBUTE_PRIORITY, &got));
    expect(got.priority == -3);
    works(cuGraphKernelNodeGetAttribute(other, CU_KERNEL_NODE_ATTRIBUTE_PRIORITY, &got));
    expect(got.priority == 0);
    works(cuGraphKernelNodeGetAttribute(other, CU_KERNEL_NODE_ATTRIBUTE_MEM_SYNC_DOMAIN_MAP, &got));
    expect(got.memSyncDomainMap.default_ == 0 && got.memSyncDomainMap.remote == 1);
    works(cuGraphKernelNodeCopyAttributes(other, one));
    works(cuGraphKernelNodeGetAttribute(other, CU_KERNEL_NODE_ATTRIBUTE_PRIORITY, &got));
    expect(got.priority == -3);
    works(cuGraphClone(&copy, graph));
    works(cuGraphNodeFindInClone(&cloned, one, copy));
    works(cuGraphKernelNodeGetAttribute(cloned, CU_KERNEL_NODE_ATTRIBUTE_PRIORITY, &got));
    expect(got.priority == -3);
    works(cuGraphKernelNodeSetParams(one, &params));
    works(cuGraphKernelNodeGetAttribute(one, CU_KERNEL_NODE_ATTRIBUTE_PRIORITY, &got));
    expect(got.priority == -3);
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphKernelNodeGetAttribute(one, CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY, &got));
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphKernelNodeSetAttribute(one, (CUkernelNodeAttrID)99, &set));
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphKernelNodeGetAttribute(one, CU_KERNEL_NODE_ATTRIBUTE_PRIORITY, NULL));
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphKernelNodeSetAttribute(one, CU_KERNEL_NODE_ATTRIBUTE_PRIORITY, NULL));
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphKernelNodeGetAttribute(empty, CU_KERNEL_NODE_ATTRIBUTE_PRIORITY, &got));
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphKernelNodeSetAttribute(empty, CU_KERNEL_NODE_ATTRIBUTE_PRIORITY, &set));
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphKernelNodeCopyAttributes(empty, one));
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphKernelNodeCopyAttributes(one, empty));
    works(cuGraphDestroy(copy));
    works(cuGraphDestroy(graph));
}

/* Everything a recorded stream was told can be asked for, and given to a node again. */
static void recorded_work_says_what_it_is(void) {
    CUstream stream = NULL;
    CUgraph graph = NULL;
    CUgraphNode nodes[4] = {NULL};
    CUdeviceptr at = device_words(64), allocated = 0;
    CUDA_KERNEL_NODE_PARAMS kernel;
    CUDA_MEMCPY3D copy;
    CUkernelNodeAttrValue got;
    unsigned value = 8, host[4] = {1, 2, 3, 4}, back[4] = {0};
    uint64_t words = 2;
    size_t count = 4;
    void *list[] = {&at, &value, &words};
    CUlaunchAttribute attribute = {.id = CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN, .value = {.memSyncDomain = CU_LAUNCH_MEM_SYNC_DOMAIN_REMOTE}};
    works(cuStreamCreateWithPriority(&stream, CU_STREAM_NON_BLOCKING, -2));
    CUlaunchConfig config = {.gridDimX = 1, .gridDimY = 1, .gridDimZ = 1, .blockDimX = 1, .blockDimY = 1, .blockDimZ = 1, .hStream = stream, .attrs = &attribute, .numAttrs = 1};
    works(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
    works(cuLaunchKernelEx(&config, fill, list, NULL));
    works(cuMemcpyHtoDAsync(at + 8, host, 16, stream));
    works(cuMemcpyDtoHAsync(back, at, 16, stream));
    works(cuStreamEndCapture(stream, &graph));
    works(cuGraphGetNodes(graph, nodes, &count));
    expect(count == 3);
    works(cuGraphKernelNodeGetParams(nodes[0], &kernel));
    expect(kernel.func == fill && *(CUdeviceptr *)kernel.kernelParams[0] == at && *(unsigned *)kernel.kernelParams[1] == 8);
    works(cuGraphKernelNodeGetAttribute(nodes[0], CU_KERNEL_NODE_ATTRIBUTE_MEM_SYNC_DOMAIN, &got));
    expect(got.memSyncDomain == CU_LAUNCH_MEM_SYNC_DOMAIN_REMOTE);
    works(cuGraphKernelNodeGetAttribute(nodes[0], CU_KERNEL_NODE_ATTRIBUTE_PRIORITY, &got));
    expect(got.priority == -2);
    works(cuGraphMemcpyNodeGetParams(nodes[1], &copy));
    expect(copy.srcMemoryType == CU_MEMORYTYPE_HOST && copy.srcHost == host && copy.dstDevice == at + 8 && copy.WidthInBytes == 16);
    copy.WidthInBytes = 4;
    works(cuGraphMemcpyNodeSetParams(nodes[1], &copy));
    CUgraphExec exec = instance(graph);
    host[0] = 6;
    run(exec, stream);
    expect(back[0] == 8 && back[1] == 8 && back[2] == 6 && back[3] == 0);
    works(cuGraphExecDestroy(exec));
    works(cuGraphDestroy(graph));
    /* A dependency that is there already is not another one. */
    const CUgraphNode *last = NULL;
    const CUgraphEdgeData *edges = NULL;
    CUstreamCaptureStatus status;
    works(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
    works(cuMemsetD32Async(at, 1, 1, stream));
    works(cuStreamGetCaptureInfo(stream, &status, NULL, &graph, &last, &edges, &count));
    expect(status == CU_STREAM_CAPTURE_STATUS_ACTIVE && count == 1);
    expect(edges[0].from_port == 0 && edges[0].type == 0);
    CUgraphNode again = last[0];
    works(cuStreamUpdateCaptureDependencies(stream, &again, NULL, 1, CU_STREAM_ADD_CAPTURE_DEPENDENCIES));
    works(cuMemsetD32Async(at, 2, 1, stream));
    works(cuStreamEndCapture(stream, &graph));
    works(cuGraphGetEdges(graph, NULL, NULL, NULL, &count));
    expect(count == 1);
    works(cuGraphDestroy(graph));
    /* What a recorded stream allocates is there when the graph is launched. */
    works(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
    works(cuMemAllocAsync(&allocated, 1 << 20, stream));
    works(cuMemsetD32Async(allocated, 5, 16, stream));
    works(cuMemcpyHtoDAsync(allocated + 4, &host[1], 4, stream));
    list[0] = &(CUdeviceptr){allocated + 8}, words = 1;
    works(cuLaunchKernel(fill, 1, 1, 1, 1, 1, 1, 0, stream, list, NULL));
    works(cuMemcpyDtoHAsync(back, allocated, 16, stream));
    works(cuMemFreeAsync(allocated, stream));
    works(cuStreamEndCapture(stream, &graph));
    exec = instance(graph);
    run(exec, stream);
    expect(back[0] == 5 && back[1] == 2 && back[2] == 8 && back[3] == 5);
    works(cuGraphExecDestroy(exec));
    works(cuGraphDestroy(graph));
    works(cuDeviceGraphMemTrim(device));
    works(cuStreamDestroy(stream));
}

static void event_nodes_change_their_events(void) {
    CUgraph graph = new_graph();
    CUgraphNode record = NULL, wait = NULL;
    CUevent one = NULL, other = NULL, got = NULL;
    CUstream stream = NULL, busy_one = NULL;
    works(cuEventCreate(&one, CU_EVENT_DEFAULT));
    works(cuEventCreate(&other, CU_EVENT_DEFAULT));
    works(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    works(cuStreamCreate(&busy_one, CU_STREAM_NON_BLOCKING));
    works(cuGraphAddEventWaitNode(&wait, graph, NULL, 0, one));
    works(cuGraphAddEventRecordNode(&record, graph, &wait, 1, one));
    works(cuGraphEventRecordNodeGetEvent(record, &got));
    expect(got == one);
    works(cuGraphEventRecordNodeSetEvent(record, other));
    works(cuGraphEventRecordNodeGetEvent(record, &got));
    expect(got == other);
    works(cuGraphEventWaitNodeGetEvent(wait, &got));
    expect(got == one);
    CUgraphExec exec = instance(graph);
    works(busy_for(30000, busy_one));
    works(cuEventRecord(one, busy_one));
    works(cuGraphLaunch(exec, stream));
    answers(CUDA_ERROR_NOT_READY, cuEventQuery(other));
    works(cuEventSynchronize(other));
    works(cuEventQuery(one));
    works(cuGraphEventWaitNodeSetEvent(wait, other));
    works(cuGraphEventWaitNodeGetEvent(wait, &got));
    expect(got == other);
    /* An instance has events of its own: from here on it waits for the other one. */
    works(cuGraphExecEventWaitNodeSetEvent(exec, wait, other));
    works(cuGraphExecEventRecordNodeSetEvent(exec, record, one));
    works(busy_for(30000, busy_one));
    works(cuEventRecord(other, busy_one));
    works(cuGraphLaunch(exec, stream));
    answers(CUDA_ERROR_NOT_READY, cuEventQuery(one));
    works(cuEventSynchronize(one));
    works(cuEventQuery(other));
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphEventRecordNodeGetEvent(wait, &got));
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphEventWaitNodeGetEvent(record, &got));
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphEventRecordNodeGetEvent(record, NULL));
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphEventRecordNodeSetEvent(wait, one));
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphEventWaitNodeSetEvent(record, one));
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphExecEventRecordNodeSetEvent(exec, wait, one));
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphExecEventWaitNodeSetEvent(exec, record, one));
    answers(CUDA_ERROR_INVALID_HANDLE, cuGraphEventRecordNodeSetEvent(record, NULL));
    works(cuGraphExecDestroy(exec));
    works(cuGraphDestroy(graph));
    /* In a recording, an event of others is a node that works at each launch. */
    CUgraphNode nodes[2] = {NULL};
    CUgraphNodeType type;
    size_t count = 2;
    answers(CUDA_ERROR_INVALID_VALUE, cuEventRecordWithFlags(one, stream, CU_EVENT_RECORD_EXTERNAL));
    answers(CUDA_ERROR_INVALID_VALUE, cuStreamWaitEvent(stream, one, CU_EVENT_WAIT_EXTERNAL));
    works(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
    works(cuStreamWaitEvent(stream, one, CU_EVENT_WAIT_EXTERNAL));
    works(cuEventRecordWithFlags(other, stream, CU_EVENT_RECORD_EXTERNAL));
    works(cuStreamEndCapture(stream, &graph));
    works(cuGraphGetNodes(graph, nodes, &count));
    expect(count == 2);
    works(cuGraphNodeGetType(nodes[0], &type));
    expect(type == CU_GRAPH_NODE_TYPE_WAIT_EVENT);
    works(cuGraphEventRecordNodeGetEvent(nodes[1], &got));
    expect(got == other);
    exec = instance(graph);
    works(busy_for(30000, busy_one));
    works(cuEventRecord(one, busy_one));
    works(cuGraphLaunch(exec, stream));
    answers(CUDA_ERROR_NOT_READY, cuEventQuery(other));
    works(cuEventSynchronize(other));
    works(cuStreamQuery(busy_one));
    works(cuGraphExecDestroy(exec));
    works(cuGraphDestroy(graph));
}

int main(void) {
    start();
    parameters_come_back();
    packed_arguments_come_back_packed();
    kernels_of_libraries_stay_such();
    attributes_are_kept_and_copied();
    recorded_work_says_what_it_is();
    event_nodes_change_their_events();
    return verdict_at_rest();
}
