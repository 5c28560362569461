/* Graph nodes in the general form: each kind does its work, changes, and refuses what it is not. */
#include "check.h"

static CUgraphNode added(CUgraph graph, CUgraphNode after, CUgraphNodeParams *params) {
    CUgraphNode node = NULL;
    works(cuGraphAddNode(&node, graph, after ? &after : NULL, NULL, after != NULL, params));
    return node;
}

/* Parameters of a kernel that fills; the arguments live as long as the structure. */
typedef struct {
    CUdeviceptr at;
    unsigned value;
    uint64_t words;
    void *list[3];
    CUgraphNodeParams params;
} Fill;

static CUgraphNodeParams *filling(Fill *one, CUdeviceptr at, unsigned value, uint64_t words) {
    *one = (Fill){.at = at, .value = value, .words = words, .params = {.type = CU_GRAPH_NODE_TYPE_KERNEL}};
    one->list[0] = &one->at, one->list[1] = &one->value, one->list[2] = &one->words;
    one->params.kernel = (CUDA_KERNEL_NODE_PARAMS_v3){
        .func = fill, .gridDimX = 1, .gridDimY = 1, .gridDimZ = 1, .blockDimX = 32, .blockDimY = 1, .blockDimZ = 1,
        .kernelParams = one->list};
    return &one->params;
}

static CUgraphNodeParams setting(CUdeviceptr at, unsigned value, size_t words) {
    CUgraphNodeParams params = {.type = CU_GRAPH_NODE_TYPE_MEMSET};
    params.memset = (CUDA_MEMSET_NODE_PARAMS_v2){.dst = at, .value = value, .elementSize = 4, .width = words, .height = 1, .ctx = context};
    return params;
}

static CUgraphNodeParams reading(void *to, CUdeviceptr from, size_t bytes) {
    CUgraphNodeParams params = {.type = CU_GRAPH_NODE_TYPE_MEMCPY};
    params.memcpy.copyCtx = context;
    params.memcpy.copyParams = (CUDA_MEMCPY3D){
        .srcMemoryType = CU_MEMORYTYPE_DEVICE, .srcDevice = from, .dstMemoryType = CU_MEMORYTYPE_HOST, .dstHost = to,
        .WidthInBytes = bytes, .Height = 1, .Depth = 1};
    return params;
}

static unsigned *seen, calls;

static void look(void *argument) { calls = calls * 10 + *(unsigned *)argument; }

static CUgraphNodeParams calling(unsigned *argument) {
    CUgraphNodeParams params = {.type = CU_GRAPH_NODE_TYPE_HOST};
    params.host.fn = look, params.host.userData = argument;
    return params;
}

static CUgraphNodeParams writing(CUstreamBatchMemOpParams *ops, unsigned count) {
    CUgraphNodeParams params = {.type = CU_GRAPH_NODE_TYPE_BATCH_MEM_OP};
    params.memOp.ctx = context, params.memOp.count = count, params.memOp.paramArray = ops;
    return params;
}

static void every_kind_does_its_work_in_order(void) {
    CUgraph graph = new_graph(), inner = new_graph(), moved = new_graph();
    CUdeviceptr at = device_words(256);
    CUdeviceptr word = (CUdeviceptr)(uintptr_t)&seen[8];
    CUevent event = NULL;
    CUgraphNode node = NULL, last = NULL;
    unsigned first = 1, second = 2;
    Fill one;
    CUgraphNodeParams params;
    seen[8] = 0, calls = 0;
    works(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
    last = added(graph, NULL, filling(&one, at, 7, 256));
    params = reading(&seen[0], at, 8), last = added(graph, last, &params);
    params = calling(&first), last = added(graph, last, &params);
    params = setting(at, 9, 1), last = added(graph, last, &params);
    params = (CUgraphNodeParams){.type = CU_GRAPH_NODE_TYPE_EMPTY}, last = added(graph, last, &params);
    params = (CUgraphNodeParams){.type = CU_GRAPH_NODE_TYPE_EVENT_RECORD}, params.eventRecord.event = event;
    last = added(graph, last, &params);
    params = (CUgraphNodeParams){.type = CU_GRAPH_NODE_TYPE_WAIT_EVENT}, params.eventWait.event = event;
    last = added(graph, last, &params);
    /* A graph that is copied into the node: what is added to it later is not in there. */
    params = setting(at + 4, 11, 1), added(inner, NULL, &params);
    params = (CUgraphNodeParams){.type = CU_GRAPH_NODE_TYPE_GRAPH}, params.graph.graph = inner;
    last = added(graph, last, &params);
    params = setting(at + 4, 12, 1), added(inner, NULL, &params);
    /* A graph that is moved into the node, since it allocates. */
    params = (CUgraphNodeParams){.type = CU_GRAPH_NODE_TYPE_MEM_ALLOC};
    params.alloc.poolProps = (CUmemPoolProps){.allocType = CU_MEM_ALLOCATION_TYPE_PINNED, .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE}};
    params.alloc.bytesize = 4096;
    node = added(moved, NULL, &params);
    CUdeviceptr own = params.alloc.dptr;
    expect(own != 0);
    node = added(moved, node, filling(&one, own, 13, 4));
    params = reading(&seen[4], own, 16), node = added(moved, node, &params);
    params = (CUgraphNodeParams){.type = CU_GRAPH_NODE_TYPE_MEM_FREE}, params.free.dptr = own;
    added(moved, node, &params);
    params = (CUgraphNodeParams){.type = CU_GRAPH_NODE_TYPE_GRAPH}, params.graph.graph = moved;
    answers(CUDA_ERROR_NOT_SUPPORTED, cuGraphAddNode(&node, graph, &last, NULL, 1, &params));
    params.graph.ownership = CU_GRAPH_CHILD_GRAPH_OWNERSHIP_MOVE, last = added(graph, last, &params);
    works(cuGraphChildGraphNodeGetGraph(last, &inner));
    expect(inner == moved);
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphDestroy(moved));
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphInstantiate(&(CUgraphExec){0}, moved, 0));
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphAddNode(&node, new_graph(), NULL, NULL, 0, &params));
    CUstreamBatchMemOpParams op = {.writeValue = {CU_STREAM_MEM_OP_WRITE_VALUE_32, word, {17}, 0, 0}};
    params = writing(&op, 1), last = added(graph, last, &params);
    params = calling(&second), last = added(graph, last, &params);
    params = reading(&seen[2], at, 8), last = added(graph, last, &params);
    size_t count = 0;
    works(cuGraphGetNodes(graph, NULL, &count));
    expect(count == 12);
    CUgraphExec exec = instance(graph);
    for (unsigned turn = 1; turn <= 2; turn++) {
        memset(seen, 0, 64);
        run(exec, NULL);
        expect(seen[0] == 7 && seen[1] == 7);
        expect(seen[2] == 9 && seen[3] == 11);
        expect(seen[4] == 13 && seen[7] == 13);
        expect(seen[8] == 17);
        expect(calls == (turn == 1 ? 12u : 1212u));
        works(cuEventQuery(event));
    }
    works(cuGraphExecDestroy(exec));
    works(cuGraphDestroy(graph));
    if (is_ours()) answers(CUDA_ERROR_INVALID_VALUE, cuGraphGetNodes(moved, NULL, &count));
    works(cuDeviceGraphMemTrim(device));
}

static void what_is_wrong_is_refused(void) {
    CUgraph graph = new_graph(), other = new_graph();
    CUgraphNode node = NULL, foreign = NULL;
    CUgraphNodeParams params = {.type = CU_GRAPH_NODE_TYPE_EMPTY};
    size_t count = 0;
    works(cuGraphAddNode(&foreign, other, NULL, NULL, 0, &params));
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphAddNode(NULL, graph, NULL, NULL, 0, &params));
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphAddNode(&node, NULL, NULL, NULL, 0, &params));
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphAddNode(&node, graph, NULL, NULL, 0, NULL));
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphAddNode(&node, graph, NULL, NULL, 1, &params));
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphAddNode(&node, graph, &foreign, NULL, 1, &params));
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphAddNode(&node, other, (CUgraphNode[]){foreign, foreign}, NULL, 2, &params));
    params.reserved0[1] = 1;
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphAddNode(&node, graph, NULL, NULL, 0, &params));
    params = setting(device_words(1), 1, 1), params.reserved1[20] = 1;
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphAddNode(&node, graph, NULL, NULL, 0, &params));
    params.reserved1[20] = 0, params.reserved2 = 1;
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphAddNode(&node, graph, NULL, NULL, 0, &params));
    params = (CUgraphNodeParams){.type = (CUgraphNodeType)99};
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphAddNode(&node, graph, NULL, NULL, 0, &params));
    params = (CUgraphNodeParams){.type = CU_GRAPH_NODE_TYPE_HOST};
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphAddNode(&node, graph, NULL, NULL, 0, &params));
    params = (CUgraphNodeParams){.type = CU_GRAPH_NODE_TYPE_WAIT_EVENT};
    answers(CUDA_ERROR_INVALID_HANDLE, cuGraphAddNode(&node, graph, NULL, NULL, 0, &params));
    params = (CUgraphNodeParams){.type = CU_GRAPH_NODE_TYPE_GRAPH}, params.graph.graph = graph, params.graph.ownership = 1;
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphAddNode(&node, graph, NULL, NULL, 0, &params));
    params = (CUgraphNodeParams){.type = CU_GRAPH_NODE_TYPE_CONDITIONAL};
    answers(CUDA_ERROR_NOT_SUPPORTED, cuGraphAddNode(&node, graph, NULL, NULL, 0, &params));
    params = (CUgraphNodeParams){.type = CU_GRAPH_NODE_TYPE_EXT_SEMAS_WAIT};
    answers(CUDA_ERROR_NOT_SUPPORTED, cuGraphAddNode(&node, graph, NULL, NULL, 0, &params));
    works(cuGraphGetNodes(graph, NULL, &count));
    expect(count == 0);
    works(cuGraphDestroy(graph));
    works(cuGraphDestroy(other));
}

static void nodes_and_instances_change_apart(void) {
    CUgraph graph = new_graph();
    CUdeviceptr at = device_words(64);
    Fill one;
    CUgraphNodeParams params, wrong = setting(at, 1, 1);
    CUgraphNode kernel = added(graph, NULL, filling(&one, at, 1, 1));
    params = setting(at + 4, 1, 1);
    CUgraphNode set = added(graph, NULL, &params);
    CUgraphExec exec = instance(graph);
    filling(&one, at, 2, 1);
    works(cuGraphExecNodeSetParams(exec, kernel, &one.params));
    params = setting(at + 4, 3, 1);
    works(cuGraphNodeSetParams(set, &params));
    run(exec, NULL);
    expect(word_at(at) == 2 && word_at(at + 4) == 1);
    CUgraphExec later = instance(graph);
    run(later, NULL);
    expect(word_at(at) == 1 && word_at(at + 4) == 3);
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphNodeSetParams(kernel, &wrong));
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphExecNodeSetParams(exec, kernel, &wrong));
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphNodeSetParams(kernel, NULL));
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphNodeSetParams(NULL, &wrong));
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphExecNodeSetParams(NULL, set, &wrong));
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphExecNodeSetParams(exec, NULL, &wrong));
    CUgraph memory = new_graph();
    params = (CUgraphNodeParams){.type = CU_GRAPH_NODE_TYPE_MEM_ALLOC}, params.alloc.bytesize = 64;
    params.alloc.poolProps = (CUmemPoolProps){.allocType = CU_MEM_ALLOCATION_TYPE_PINNED, .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE}};
    CUgraphNode alloc = added(memory, NULL, &params);
    answers(CUDA_ERROR_NOT_SUPPORTED, cuGraphNodeSetParams(alloc, &params));
    answers(CUDA_ERROR_NOT_SUPPORTED, cuGraphClone(&(CUgraph){0}, memory));
    works(cuGraphDestroy(memory));
    works(cuGraphDestroyNode(set));
    if (is_ours()) answers(CUDA_ERROR_INVALID_VALUE, cuGraphExecNodeSetParams(exec, set, &wrong));
    works(cuGraphExecDestroy(later));
    works(cuGraphExecDestroy(exec));
    works(cuGraphDestroy(graph));
}

static void steps_can_be_passed_over(void) {
    CUgraph graph = new_graph();
    CUdeviceptr at = device_words(64);
    Fill one;
    CUgraphNode kernel = added(graph, NULL, filling(&one, at, 5, 1));
    CUgraphNodeParams params = {.type = CU_GRAPH_NODE_TYPE_EMPTY};
    CUgraphNode empty = added(graph, kernel, &params);
    CUgraphExec exec = instance(graph);
    unsigned enabled = 7;
    works(cuGraphNodeGetEnabled(exec, kernel, &enabled));
    expect(enabled == 1);
    works(cuGraphNodeSetEnabled(exec, kernel, 0));
    run(exec, NULL);
    expect(word_at(at) == 0);
    filling(&one, at, 6, 1);
    works(cuGraphExecNodeSetParams(exec, kernel, &one.params));
    works(cuGraphNodeGetEnabled(exec, kernel, &enabled));
    expect(enabled == 0);
    works(cuGraphNodeSetEnabled(exec, kernel, 4));
    run(exec, NULL);
    expect(word_at(at) == 6);
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphNodeSetEnabled(exec, empty, 0));
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphNodeGetEnabled(exec, empty, &enabled));
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphNodeGetEnabled(exec, kernel, NULL));
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphNodeSetEnabled(NULL, kernel, 0));
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphNodeSetEnabled(exec, NULL, 0));
    works(cuGraphExecDestroy(exec));
    works(cuGraphDestroy(graph));
}

static void child_graphs_change_as_a_whole(void) {
    CUgraph graph = new_graph(), inner = new_graph(), two = new_graph(), other = new_graph();
    CUdeviceptr at = device_words(64);
    CUgraphNodeParams params = setting(at, 1, 1);
    Fill one;
    added(inner, NULL, &params);
    params = (CUgraphNodeParams){.type = CU_GRAPH_NODE_TYPE_GRAPH}, params.graph.graph = inner;
    CUgraphNode child = added(graph, NULL, &params);
    params = setting(at + 4, 1, 1);
    CUgraphNode beside = added(graph, NULL, &params);
    CUgraphExec exec = instance(graph);
    params = setting(at, 8, 1), added(two, NULL, &params);
    works(cuGraphExecChildGraphNodeSetParams(exec, child, two));
    run(exec, NULL);
    expect(word_at(at) == 8 && word_at(at + 4) == 1);
    added(other, NULL, filling(&one, at, 9, 1));
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphExecChildGraphNodeSetParams(exec, child, other));
    params = setting(at, 9, 1), added(two, NULL, &params);
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphExecChildGraphNodeSetParams(exec, child, two));
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphExecChildGraphNodeSetParams(exec, beside, inner));
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphExecChildGraphNodeSetParams(exec, child, NULL));
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphExecChildGraphNodeSetParams(NULL, child, inner));
    run(exec, NULL);
    expect(word_at(at) == 8);
    CUgraphExecUpdateResultInfo why;
    answers(CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE, cuGraphExecUpdate(exec, two, &why));
    expect(why.result == CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED);
    CUgraphExec single = instance(inner);
    answers(CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE, cuGraphExecUpdate(single, other, &why));
    CUgraphNode changed = NULL;
    works(cuGraphGetNodes(other, &changed, &(size_t){1}));
    expect(why.result == CU_GRAPH_EXEC_UPDATE_ERROR_NODE_TYPE_CHANGED && why.errorNode == changed);
    works(cuGraphExecUpdate(single, inner, &why));
    expect(why.result == CU_GRAPH_EXEC_UPDATE_SUCCESS);
    /* The same nodes, of which one follows the other here and not there. */
    CUgraph chain = new_graph();
    params = setting(at, 9, 1);
    CUgraphNode last = added(chain, added(chain, NULL, &params), &params);
    CUgraphExec pair = instance(two);
    answers(CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE, cuGraphExecUpdate(pair, chain, &why));
    expect(why.result == CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED && why.errorNode == last);
    works(cuGraphExecDestroy(pair));
    works(cuGraphDestroy(chain));
    works(cuGraphExecDestroy(single));
    works(cuGraphExecDestroy(exec));
    works(cuGraphDestroy(graph));
    works(cuGraphDestroy(inner));
    works(cuGraphDestroy(two));
    works(cuGraphDestroy(other));
}

/* A child graph in a child graph changes alone, and with the one it is in. */
static void graphs_in_graphs_in_graphs_change(void) {
    CUgraph outer = new_graph(), middle = new_graph(), inner = new_graph(), embedded = NULL;
    CUdeviceptr at = device_words(4);
    CUgraphNodeParams params = setting(at, 1, 1);
    CUgraphNode deep = NULL, child = NULL;
    CUgraphExecUpdateResultInfo why;
    added(inner, NULL, &params);
    params = (CUgraphNodeParams){.type = CU_GRAPH_NODE_TYPE_GRAPH}, params.graph.graph = inner;
    added(middle, NULL, &params);
    params.graph.graph = middle, child = added(outer, NULL, &params);
    works(cuGraphChildGraphNodeGetGraph(child, &embedded));
    works(cuGraphGetNodes(embedded, &deep, &(size_t){1}));
    CUgraphExec exec = instance(outer);
    CUgraph other = new_graph();
    params = setting(at, 2, 1), added(other, NULL, &params);
    for (int turn = 0; turn < 2; turn++) {
        works(cuGraphExecChildGraphNodeSetParams(exec, deep, other));
        run(exec, NULL);
        expect(word_at(at) == 2);
        works(cuGraphExecUpdate(exec, outer, &why));
        run(exec, NULL);
        expect(word_at(at) == 1);
        params = (CUgraphNodeParams){.type = CU_GRAPH_NODE_TYPE_GRAPH}, params.graph.graph = middle;
        works(cuGraphExecNodeSetParams(exec, child, &params));
    }
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphExecChildGraphNodeSetParams(exec, child, other));
    works(cuGraphExecDestroy(exec));
    works(cuGraphDestroy(outer));
    works(cuGraphDestroy(middle));
    works(cuGraphDestroy(inner));
    works(cuGraphDestroy(other));
}

/* What a launch allocated must be freed before the next one, unless that one is to see to it. */
static void launches_free_what_was_left(void) {
    CUgraph graph = new_graph();
    CUgraphNodeParams params = {.type = CU_GRAPH_NODE_TYPE_MEM_ALLOC};
    CUgraphExec exec = NULL;
    params.alloc.poolProps = (CUmemPoolProps){.allocType = CU_MEM_ALLOCATION_TYPE_PINNED, .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE}};
    params.alloc.bytesize = 1 << 20;
    added(graph, NULL, &params);
    works(cuGraphInstantiate(&exec, graph, 0));
    run(exec, NULL);
    works(cuMemsetD32(params.alloc.dptr, 3, 1));
    expect(word_at(params.alloc.dptr) == 3);
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphLaunch(exec, NULL));
    works(cuMemFree(params.alloc.dptr));
    run(exec, NULL);
    works(cuMemFree(params.alloc.dptr));
    works(cuGraphExecDestroy(exec));
    works(cuGraphInstantiate(&exec, graph, CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH));
    run(exec, NULL);
    run(exec, NULL);
    works(cuMemFree(params.alloc.dptr));
    works(cuGraphExecDestroy(exec));
    works(cuGraphDestroy(graph));
    works(cuDeviceGraphMemTrim(device));
}

static void edges_keep_their_data(void) {
    CUgraph graph = new_graph();
    CUdeviceptr at = device_words(64);
    Fill one;
    CUgraphNodeParams params = setting(at, 1, 1);
    CUgraphEdgeData early = {.from_port = CU_GRAPH_KERNEL_NODE_PORT_PROGRAMMATIC, .type = CU_GRAPH_DEPENDENCY_TYPE_PROGRAMMATIC}, got[2] = {{0}};
    CUgraphNode upper = added(graph, NULL, filling(&one, at, 1, 1)), lower = NULL, set = NULL, from[2], to[2];
    size_t count = 2;
    works(cuGraphAddNode(&lower, graph, &upper, &early, 1, filling(&one, at, 2, 1)));
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphAddNode(&set, graph, &upper, &early, 1, &params));
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphAddNode(&set, graph, &upper, &(CUgraphEdgeData){.to_port = 1}, 1, &params));
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphAddNode(&set, graph, &upper, &(CUgraphEdgeData){.from_port = 1}, 1, &params));
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphAddNode(&set, graph, &upper, &(CUgraphEdgeData){.reserved = {0, 1}}, 1, &params));
    /* Nothing is moved when an edge is wrong. */
    CUgraph own = new_graph();
    CUgraphNodeParams moving = {.type = CU_GRAPH_NODE_TYPE_GRAPH, .graph = {own, CU_GRAPH_CHILD_GRAPH_OWNERSHIP_MOVE}};
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphAddNode(&set, graph, &upper, &early, 1, &moving));
    works(cuGraphDestroy(own));
    works(cuGraphGetEdges(graph, from, to, got, &count));
    expect(count == 1 && from[0] == upper && to[0] == lower && !memcmp(got, &early, sizeof early));
    count = 2;
    answers(CUDA_ERROR_LOSSY_QUERY, cuGraphGetEdges(graph, from, to, NULL, &count));
    answers(CUDA_ERROR_LOSSY_QUERY, form("cuGraphNodeGetDependencies", (CUgraphNode, CUgraphNode *, size_t *))(lower, from, &count));
    works(cuGraphNodeGetDependentNodes(upper, to, got, &count));
    expect(count == 1 && to[0] == lower && got[0].from_port == 1);
    CUgraphExec exec = instance(graph);
    run(exec, NULL);
    expect(word_at(at) == 2);
    CUgraph copy = NULL;
    works(cuGraphClone(&copy, graph));
    count = 2, memset(got, 0, sizeof got);
    works(cuGraphGetEdges(copy, from, to, got, &count));
    expect(count == 1 && from[0] != upper && !memcmp(got, &early, sizeof early));
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphRemoveDependencies(graph, &upper, &lower, NULL, 1));
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphAddDependencies(graph, &upper, &lower, &early, 1));
    works(cuGraphRemoveDependencies(graph, &upper, &lower, &early, 1));
    works(cuGraphAddDependencies(graph, &lower, &upper, NULL, 1));
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphGetEdges(graph, from, NULL, got, &count));
    count = 2;
    works(cuGraphGetEdges(graph, from, to, NULL, &count));
    expect(count == 1 && from[0] == lower && to[0] == upper);
    works(cuGraphExecDestroy(exec));
    works(cuGraphDestroy(copy));
    works(cuGraphDestroy(graph));
}

/* The form of before CUDA 12.3 knows no edge data. */
static void the_older_form_adds_too(void) {
    CUgraph graph = new_graph();
    CUgraphNode node = NULL;
    CUdeviceptr at = device_words(4);
    CUgraphNodeParams params = setting(at, 21, 1);
    CUresult (*older)(CUgraphNode *, CUgraph, const CUgraphNode *, size_t, CUgraphNodeParams *) =
        form("cuGraphAddNode", (CUgraphNode *, CUgraph, const CUgraphNode *, size_t, CUgraphNodeParams *));
    expect(older != (void *)cuGraphAddNode);
    works(older(&node, graph, NULL, 0, &params));
    answers(CUDA_ERROR_INVALID_VALUE, older(&node, graph, &node, 2, NULL));
    run(instance(graph), NULL);
    expect(word_at(at) == 21);
    works(cuGraphDestroy(graph));
}

int main(void) {
    start();
    seen = pinned(4096);
    every_kind_does_its_work_in_order();
    what_is_wrong_is_refused();
    nodes_and_instances_change_apart();
    steps_can_be_passed_over();
    child_graphs_change_as_a_whole();
    graphs_in_graphs_in_graphs_change();
    launches_free_what_was_left();
    edges_keep_their_data();
    the_older_form_adds_too();
    return verdict_at_rest();
}
