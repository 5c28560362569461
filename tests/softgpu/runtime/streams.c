/* The CUDA runtime's streams, events and graphs of copies, from several threads too. */
#include "check.h"

#include <pthread.h>

static void called(void *data) { ++*(int *)data; }

static void streams(void) {
    cudaStream_t stream = NULL, other = NULL;
    cudaEvent_t begin = NULL, end = NULL;
    int count = 0, priority = 0;
    unsigned flags = 0;
    float ms = -1;
    char *device = NULL, *pinned = NULL;
    works(cudaStreamCreateWithPriority(&stream, cudaStreamNonBlocking, -5));
    works(cudaStreamCreate(&other));
    works(cudaStreamGetPriority(stream, &priority));
    works(cudaStreamGetFlags(stream, &flags));
    expect(priority == -5 && flags == cudaStreamNonBlocking);
    works(cudaEventCreate(&begin));
    works(cudaEventCreate(&end));
    works(cudaMalloc((void **)&device, 32 * MIB));
    works(cudaMallocHost((void **)&pinned, 32 * MIB));
    answers(cudaEventElapsedTime(&ms, begin, end), cudaErrorInvalidResourceHandle);
    cudaGetLastError();
    memset(pinned, 5, 32 * MIB);
    works(cudaEventRecord(begin, stream));
    works(cudaMemcpyAsync(device, pinned, 32 * MIB, cudaMemcpyHostToDevice, stream));
    works(cudaEventRecord(end, stream));
    works(cudaStreamWaitEvent(other, end, 0));
    works(cudaMemsetAsync(device, 6, 100, other));
    works(cudaLaunchHostFunc(other, called, &count));
    works(cudaMemcpyAsync(pinned, device, 200, cudaMemcpyDeviceToHost, other));
    works(cudaStreamSynchronize(other));
    expect(count == 1 && pinned[99] == 6 && pinned[100] == 5);
    works(cudaEventSynchronize(end));
    works(cudaEventElapsedTime(&ms, begin, end));
    expect(ms > 0.1f && ms < 1000.0f);
    works(cudaStreamQuery(stream));
    works(cudaEventQuery(end));
    works(cudaFreeHost(pinned));
    works(cudaFree(device));
    works(cudaEventDestroy(begin));
    works(cudaEventDestroy(end));
    works(cudaStreamDestroy(stream));
    works(cudaStreamDestroy(other));
}

static void captured(void) {
    cudaStream_t stream = NULL;
    cudaGraph_t graph = NULL;
    cudaGraphExec_t exec = NULL;
    int *device = NULL, host[4] = {1, 2, 3, 4}, back[4] = {0};
    size_t nodes = 0;
    works(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    works(cudaMalloc((void **)&device, 16));
    works(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    works(cudaMemcpyAsync(device, host, 16, cudaMemcpyHostToDevice, stream));
    works(cudaMemsetAsync(device + 1, 0, 4, stream));
    works(cudaMemcpyAsync(back, device, 16, cudaMemcpyDeviceToHost, stream));
    works(cudaStreamEndCapture(stream, &graph));
    works(cudaGraphGetNodes(graph, NULL, &nodes));
    expect(nodes == 3 && back[0] == 0);
    works(cudaGraphInstantiate(&exec, graph, 0));
    for (int turn = 0; turn < 3; turn++) {
        host[2] = 100 + turn;
        works(cudaGraphLaunch(exec, stream));
        works(cudaStreamSynchronize(stream));
        expect(back[0] == 1 && back[1] == 0 && back[2] == 100 + turn && back[3] == 4);
    }
    works(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
    answers(cudaStreamSynchronize(stream), cudaErrorStreamCaptureUnsupported);
    answers(cudaStreamEndCapture(stream, &graph), cudaErrorStreamCaptureInvalidated);
    cudaGetLastError();
    works(cudaGraphExecDestroy(exec));
    works(cudaFree(device));
    works(cudaStreamDestroy(stream));
}

static void built(void) {
    cudaGraph_t graph = NULL, copy = NULL;
    cudaGraphNode_t first = NULL, second = NULL, third = NULL;
    cudaGraphExec_t exec = NULL;
    int *device = NULL, host[2] = {11, 22}, back[2] = {0};
    works(cudaMalloc((void **)&device, 8));
    works(cudaGraphCreate(&graph, 0));
    works(cudaGraphAddMemcpyNode1D(&first, graph, NULL, 0, device, host, 8, cudaMemcpyHostToDevice));
    struct cudaMemsetParams set = {.dst = device, .elementSize = 4, .width = 1, .height = 1, .value = 33};
    works(cudaGraphAddMemsetNode(&second, graph, &first, 1, &set));
    works(cudaGraphAddMemcpyNode1D(&third, graph, &second, 1, back, device, 8, cudaMemcpyDeviceToHost));
    works(cudaGraphClone(&copy, graph));
    works(cudaGraphDestroy(graph));
    works(cudaGraphInstantiate(&exec, copy, 0));
    works(cudaGraphDestroy(copy));
    works(cudaGraphLaunch(exec, 0));
    works(cudaDeviceSynchronize());
    expect(back[0] == 33 && back[1] == 22);
    works(cudaGraphExecDestroy(exec));
    works(cudaFree(device));
}

static void *in_a_thread(void *number) {
    int *device = NULL, value = (int)(intptr_t)number, back = 0;
    works(cudaSetDevice(0));
    for (int turn = 0; turn < 200; turn++) {
        works(cudaMalloc((void **)&device, 4096));
        works(cudaMemcpyAsync(device, &value, 4, cudaMemcpyHostToDevice, cudaStreamPerThread));
        works(cudaMemcpyAsync(&back, device, 4, cudaMemcpyDeviceToHost, cudaStreamPerThread));
        works(cudaStreamSynchronize(cudaStreamPerThread));
        expect(back == value);
        works(cudaFree(device));
    }
    return NULL;
}

int main(int count_of_words, char **words) {
    if (refused(count_of_words, words)) return failures != 0;
    pthread_t threads[4];
    streams();
    captured();
    built();
    size_t before = free_bytes();
    for (intptr_t index = 0; index < 4; index++) pthread_create(&threads[index], NULL, in_a_thread, (void *)index);
    for (int index = 0; index < 4; index++) pthread_join(threads[index], NULL);
    /* Each thread's own stream may keep a little. */
    expect(before - free_bytes() <= 8 * MIB);
    works(cudaDeviceReset());
    return verdict();
}
