/* Graphs built by hand and by capture: what they do when launched, what their memory nodes take, codes of misuse. */
#include "probe.h"

static CUgraphNode copy_node(CUgraph graph, CUgraphNode after, CUdeviceptr dst, void *host, CUdeviceptr src, size_t bytes) {
    CUgraphNode node = NULL;
    CUcopy3D copy = {.width = bytes, .height = 1, .depth = 1};
    CUcontext context = NULL;
    must(cuCtxGetCurrent(&context));
    copy.src_type = dst ? 1 : 2, copy.dst_type = dst ? 2 : 1;
    copy.src_host = host, copy.dst_host = host, copy.src_device = src, copy.dst_device = dst;
    must(cuGraphAddMemcpyNode(&node, graph, after ? &after : NULL, after != NULL, &copy, context));
    return node;
}

static void copies(void) {
    CUgraph graph = NULL;
    CUgraphExec exec = NULL;
    CUgraphNode node = NULL;
    CUcontext context = NULL;
    CUdeviceptr at = 0;
    unsigned in[64], out[64] = {0};
    size_t count = 0, before = free_bytes();
    must(cuCtxGetCurrent(&context));
    must(cuMemAlloc_v2(&at, 4096));
    for (unsigned index = 0; index < 64; index++) in[index] = index + 1;
    must(cuGraphCreate(&graph, 0));
    code("graph.create_flags", cuGraphCreate(&(CUgraph){0}, 1));
    node = copy_node(graph, NULL, at, in, 0, sizeof in);
    CUmemsetNode set = {at, 0, 5, 4, 8, 1};
    code("graph.memset_node", cuGraphAddMemsetNode(&node, graph, &node, 1, &set, context));
    set.element_size = 3;
    code("graph.memset_bad_element", cuGraphAddMemsetNode(&(CUgraphNode){0}, graph, NULL, 0, &set, context));
    node = copy_node(graph, node, 0, out, at, sizeof out);
    code("graph.empty_node", cuGraphAddEmptyNode(&node, graph, &node, 1));
    code("graph.nodes", cuGraphGetNodes(graph, NULL, &count));
    say("graph.nodes_value", "%zu", count);
    int type = -1;
    code("graph.node_type", cuGraphNodeGetType(node, &type));
    say("graph.node_type_value", "%d", type);
    code("graph.instantiate", cuGraphInstantiateWithFlags(&exec, graph, 0));
    code("graph.instantiate_null", cuGraphInstantiateWithFlags(NULL, graph, 0));
    code("graph.instantiate_bad_flags", cuGraphInstantiateWithFlags(&(CUgraphExec){0}, graph, 0x1000));
    say("graph.exec_takes", "%lld", (long long)before - (long long)free_bytes());
    code("graph.upload", cuGraphUpload(exec, NULL));
    code("graph.launch", cuGraphLaunch(exec, NULL));
    must(cuCtxSynchronize());
    say("graph.result", "%u %u %u", out[0], out[7], out[8]);
    in[20] = 777;
    must(cuGraphLaunch(exec, NULL));
    must(cuCtxSynchronize());
    say("graph.second_result", "%u", out[20]);
    code("graph.destroy_first", cuGraphDestroy(graph));
    code("graph.launch_after_destroy", cuGraphLaunch(exec, NULL));
    must(cuCtxSynchronize());
    code("graph.exec_destroy", cuGraphExecDestroy(exec));
    code("graph.launch_null", cuGraphLaunch(NULL, NULL));
    must(cuMemFree_v2(at));
}

static void memory_nodes(CUdevice device) {
    CUgraph graph = NULL;
    CUgraphExec exec = NULL;
    CUgraphNode node = NULL;
    CUallocNode allocation = {.pool = {.alloc_type = 1, .location = {1, device}}, .bytes = 20 * MIB};
    size_t before = free_bytes();
    uint64_t values[4];
    must(cuGraphCreate(&graph, 0));
    code("graph_memory.alloc_node", cuGraphAddMemAllocNode(&node, graph, NULL, 0, &allocation));
    say("graph_memory.taken_by_node", "%lld", (long long)before - (long long)free_bytes());
    code("graph_memory.free_node", cuGraphAddMemFreeNode(&node, graph, &node, 1, allocation.ptr));
    code("graph_memory.free_node_twice", cuGraphAddMemFreeNode(&(CUgraphNode){0}, graph, &node, 1, allocation.ptr));
    code("graph_memory.instantiate", cuGraphInstantiateWithFlags(&exec, graph, 0));
    say("graph_memory.taken_by_instance", "%lld", (long long)before - (long long)free_bytes());
    code("graph_memory.launch", cuGraphLaunch(exec, NULL));
    must(cuCtxSynchronize());
    say("graph_memory.taken_by_launch", "%lld", (long long)before - (long long)free_bytes());
    for (int id = 0; id < 4; id++) cuDeviceGetGraphMemAttribute(device, id, &values[id]);
    say("graph_memory.attributes", "%llu %llu %llu %llu", (unsigned long long)values[0], (unsigned long long)values[1],
        (unsigned long long)values[2], (unsigned long long)values[3]);
    must(cuGraphExecDestroy(exec));
    must(cuGraphDestroy(graph));
    say("graph_memory.kept_after_destroy", "%lld", (long long)before - (long long)free_bytes());
    code("graph_memory.trim", cuDeviceGraphMemTrim(device));
    say("graph_memory.kept_after_trim", "%lld", (long long)before - (long long)free_bytes());
}

static void captured(void) {
    CUstream stream = NULL;
    CUgraph graph = NULL;
    CUgraphExec exec = NULL;
    CUdeviceptr at = 0;
    CUfunction busy = kernel("busy");
    size_t count = 0;
    uint64_t began = 0;
    must(cuStreamCreate(&stream, 1));
    must(cuMemAlloc_v2(&at, 4096));
    must(cuStreamBeginCapture_v2(stream, 0));
    began = now_ns();
    for (int index = 0; index < 10; index++) must(launch1(busy, 2000, stream));
    say("captured.records_without_running", "%d", now_ns() - began < 10000000);
    must(cuMemsetD8Async(at, 1, 16, stream));
    must(cuStreamEndCapture(stream, &graph));
    must(cuGraphGetNodes(graph, NULL, &count));
    say("captured.nodes", "%zu", count);
    must(cuGraphInstantiateWithFlags(&exec, graph, 0));
    must(cuGraphLaunch(exec, stream));
    must(cuStreamSynchronize(stream));
    began = now_ns();
    must(cuGraphLaunch(exec, stream));
    must(cuStreamSynchronize(stream));
    uint64_t took = now_ns() - began;
    say("captured.ten_of_2_ms_in_range", "%d", took > 19900000 && took < 25000000);
    say("time.captured_ten_of_2_ms", "%.3f", (double)took / 1e6);
    double costs[200];
    CUgraph none = NULL;
    CUgraphExec idle = NULL;
    must(cuGraphCreate(&none, 0));
    must(cuGraphAddEmptyNode(&(CUgraphNode){0}, none, NULL, 0));
    must(cuGraphInstantiateWithFlags(&idle, none, 0));
    for (int index = 0; index < 200; index++) {
        began = now_ns();
        must(cuGraphLaunch(idle, stream));
        costs[index] = (double)(now_ns() - began) / 1e3;
    }
    spread("time.empty_graph_launch_us", costs, 200);
    must(cuStreamSynchronize(stream));
    must(cuGraphExecDestroy(idle));
    must(cuGraphDestroy(none));
    must(cuGraphExecDestroy(exec));
    must(cuGraphDestroy(graph));
    must(cuMemFree_v2(at));
    must(cuStreamDestroy_v2(stream));
}

int main(void) {
    CUdevice device = start();
    copies();
    memory_nodes(device);
    captured();
    code("context.at_end", cuCtxSynchronize());
    return 0;
}
