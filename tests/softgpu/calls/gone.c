/* A graph that is launched when the memory of one of its nodes is gone: the context fails, the program does not. The
 * word says which node: kernel, set, copy or words. */
#include "check.h"

int main(int count, char **words) {
    const char *kind = count > 1 ? words[1] : "kernel";
    static unsigned host[4];
    CUgraph graph = NULL;
    CUgraphNode node = NULL;
    CUdeviceptr at = 0;
    start();
    works(cuMemAlloc(&at, 64 << 20));
    graph = new_graph();
    unsigned value = 1;
    uint64_t length = 4;
    void *list[] = {&at, &value, &length};
    CUgraphNodeParams params = {.type = CU_GRAPH_NODE_TYPE_KERNEL};
    params.kernel = (CUDA_KERNEL_NODE_PARAMS_v3){
        .func = fill, .gridDimX = 1, .gridDimY = 1, .gridDimZ = 1, .blockDimX = 1, .blockDimY = 1, .blockDimZ = 1, .kernelParams = list};
    if (!strcmp(kind, "set")) {
        params = (CUgraphNodeParams){.type = CU_GRAPH_NODE_TYPE_MEMSET};
        params.memset = (CUDA_MEMSET_NODE_PARAMS_v2){.dst = at, .elementSize = 4, .width = 4, .height = 1, .ctx = context};
    } else if (!strcmp(kind, "copy")) {
        params = (CUgraphNodeParams){.type = CU_GRAPH_NODE_TYPE_MEMCPY};
        params.memcpy.copyParams = (CUDA_MEMCPY3D){
            .srcMemoryType = CU_MEMORYTYPE_DEVICE, .srcDevice = at, .dstMemoryType = CU_MEMORYTYPE_HOST, .dstHost = host,
            .WidthInBytes = 16, .Height = 1, .Depth = 1};
    } else if (!strcmp(kind, "words")) {
        static CUstreamBatchMemOpParams op;
        op.writeValue = (struct CUstreamMemOpWriteValueParams_st){CU_STREAM_MEM_OP_WRITE_VALUE_32, at, {1}, 0, 0};
        params = (CUgraphNodeParams){.type = CU_GRAPH_NODE_TYPE_BATCH_MEM_OP};
        params.memOp.count = 1, params.memOp.paramArray = &op;
    }
    works(cuGraphAddNode(&node, graph, NULL, NULL, 0, &params));
    CUgraphExec exec = instance(graph);
    run(exec, NULL);
    works(cuMemFree(at));
    works(cuGraphLaunch(exec, NULL));
    answers(CUDA_ERROR_ILLEGAL_ADDRESS, cuStreamSynchronize(NULL));
    printf("%d expectations, %d failures\n", expectations, failures);
    return failures != 0;
}
