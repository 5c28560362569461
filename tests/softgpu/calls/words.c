/* Words in memory that streams write and wait for: in order, by every comparison, across streams, threads and processes. */
#include "check.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* Shared with the process that was forked before the driver was loaded. */
static volatile unsigned *shared;
static volatile unsigned *words;

static CUdeviceptr at(volatile void *word) {
    CUdeviceptr found = 0;
    works(cuMemHostGetDevicePointer(&found, (void *)(uintptr_t)word, 0));
    return found;
}

static CUstream stream_of_own(void) {
    CUstream stream = NULL;
    works(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    return stream;
}

/* What is in memory, what it is compared with, how, and what makes the comparison hold. */
static void each_comparison_waits_and_goes_on(CUstream stream) {
    static const struct { uint64_t before, asked; unsigned how; int wide; uint64_t after; } cases[] = {
        {4, 5, CU_STREAM_WAIT_VALUE_GEQ, 0, 5},
        {4, 5, CU_STREAM_WAIT_VALUE_GEQ, 0, 6},
        {0x80000005, 5, CU_STREAM_WAIT_VALUE_GEQ, 0, 5},
        {0xfffffff0, 5, CU_STREAM_WAIT_VALUE_GEQ, 0, 7},
        {6, 5, CU_STREAM_WAIT_VALUE_EQ, 0, 5},
        {5, 10, CU_STREAM_WAIT_VALUE_AND, 0, 8},
        {0xffffff00, 0xff, CU_STREAM_WAIT_VALUE_NOR, 0, 0xfffffe00},
        {4, 5, CU_STREAM_WAIT_VALUE_GEQ, 1, 5},
        {0xffffffffull, 1ull << 32, CU_STREAM_WAIT_VALUE_GEQ, 1, 1ull << 32},
        {1ull << 63, 0, CU_STREAM_WAIT_VALUE_GEQ, 1, 0},
        {5, 1ull << 40 | 5, CU_STREAM_WAIT_VALUE_EQ, 1, 1ull << 40 | 5},
        {1, 1ull << 40, CU_STREAM_WAIT_VALUE_AND, 1, 3ull << 40},
        {~0ull << 8, 0xff, CU_STREAM_WAIT_VALUE_NOR, 1, ~0ull << 9},
    };
    volatile uint64_t *word = (volatile uint64_t *)&words[0];
    for (size_t index = 0; index < sizeof cases / sizeof *cases; index++) {
        int failed = failures;
        *word = cases[index].before, words[4] = 0;
        if (cases[index].wide) works(cuStreamWaitValue64(stream, at(word), cases[index].asked, cases[index].how));
        else works(cuStreamWaitValue32(stream, at(word), (unsigned)cases[index].asked, cases[index].how));
        works(cuStreamWriteValue32(stream, at(&words[4]), 1, 0));
        nanosleep(&(struct timespec){0, 2000000}, NULL);
        answers(CUDA_ERROR_NOT_READY, cuStreamQuery(stream));
        expect(words[4] == 0);
        /* The upper half first: half a word must not let anybody pass. */
        if (cases[index].wide) __atomic_store_n(word, cases[index].after, __ATOMIC_RELEASE);
        else __atomic_store_n(&words[0], (unsigned)cases[index].after, __ATOMIC_RELEASE);
        works(cuStreamSynchronize(stream));
        expect(words[4] == 1);
        if (failures != failed) printf("that was case %zu\n", index);
    }
}

static void what_holds_already_is_passed(CUstream stream) {
    words[0] = 5, words[1] = 0xffffffff;
    works(cuStreamWaitValue32(stream, at(&words[0]), 5, CU_STREAM_WAIT_VALUE_EQ));
    works(cuStreamWaitValue32(stream, at(&words[0]), 0xfffffff0, CU_STREAM_WAIT_VALUE_GEQ));
    works(cuStreamWaitValue64(stream, at(&words[0]), 0, CU_STREAM_WAIT_VALUE_NOR));
    works(cuStreamSynchronize(stream));
}

/* A write is seen when all before it is over, in time too: a program that looks at the word must not be fooled. */
static void a_write_comes_after_what_was_before(CUstream stream) {
    words[0] = words[1] = 0;
    double began = now_ms();
    works(busy_for(50000, stream));
    works(cuStreamWriteValue32(stream, at(&words[0]), 9, 0));
    works(cuStreamWriteValue64(stream, at(&words[2]), 1ull << 40 | 3, 0));
    expect(words[0] == 0);
    expect(becomes(&words[0], 9));
    expect(now_ms() - began >= 49);
    works(cuStreamSynchronize(stream));
    expect(*(volatile uint64_t *)&words[2] == (1ull << 40 | 3));
    /* What comes behind a wait waits as well. */
    CUdeviceptr memory = device_words(1);
    words[0] = 0;
    works(cuStreamWaitValue32(stream, at(&words[0]), 1, CU_STREAM_WAIT_VALUE_EQ));
    works(cuMemsetD32Async(memory, 6, 1, stream));
    expect(word_at(memory) == 0);
    words[0] = 1;
    works(cuStreamSynchronize(stream));
    expect(word_at(memory) == 6);
}

static void streams_meet_in_device_memory(CUstream one, CUstream other) {
    CUdeviceptr memory = device_words(8);
    works(cuStreamWaitValue32(one, memory, 3, CU_STREAM_WAIT_VALUE_EQ));
    works(cuStreamWriteValue32(one, memory + 4, 4, 0));
    works(cuStreamWaitValue32(other, memory + 4, 4, CU_STREAM_WAIT_VALUE_EQ));
    works(cuStreamWriteValue32(other, memory + 8, 5, 0));
    answers(CUDA_ERROR_NOT_READY, cuStreamQuery(other));
    CUstream third = stream_of_own();
    works(cuStreamWriteValue32(third, memory, 3, 0));
    works(cuStreamSynchronize(other));
    works(cuStreamSynchronize(one));
    expect(word_at(memory + 8) == 5);
    works(cuStreamDestroy(third));
}

/* Another process writes into memory that both have; the driver is told of it by address. */
static void another_process_may_write(CUstream stream, pid_t child) {
    works(cuMemHostRegister((void *)(uintptr_t)shared, 4096, 0));
    works(cuStreamWaitValue32(stream, at(&shared[0]), 77, CU_STREAM_WAIT_VALUE_EQ));
    works(cuStreamWriteValue32(stream, at(&shared[2]), 78, 0));
    answers(CUDA_ERROR_NOT_READY, cuStreamQuery(stream));
    __atomic_store_n(&shared[1], 1, __ATOMIC_RELEASE);
    works(cuStreamSynchronize(stream));
    expect(shared[2] == 78);
    int status = -1;
    waitpid(child, &status, 0);
    expect(status == 0);
    works(cuMemHostUnregister((void *)(uintptr_t)shared));
}

static void *writes_later(void *word) {
    nanosleep(&(struct timespec){0, 400000000}, NULL);
    __atomic_store_n((volatile unsigned *)word, 1, __ATOMIC_RELEASE);
    return NULL;
}

static double used_ms(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e3 + (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e3;
}

static void waiting_burns_no_core(CUstream stream) {
    pthread_t thread;
    words[0] = 0;
    works(cuStreamWaitValue32(stream, at(&words[0]), 1, CU_STREAM_WAIT_VALUE_EQ));
    works(cuStreamWriteValue32(stream, at(&words[1]), 1, 0));
    double before = used_ms();
    pthread_create(&thread, NULL, writes_later, (void *)(uintptr_t)&words[0]);
    works(cuStreamSynchronize(stream));
    double used = used_ms() - before;
    pthread_join(thread, NULL);
    /* Of 400 ms; a thread that spins would use nearly all of it. */
    expect(used < 120);
    printf("%.0f ms of processor time for 400 ms of waiting\n", used);
}

static CUstreamBatchMemOpParams wait_op(CUdeviceptr address, unsigned value, unsigned flags) {
    return (CUstreamBatchMemOpParams){.waitValue = {CU_STREAM_MEM_OP_WAIT_VALUE_32, address, {value}, flags, 0}};
}

static CUstreamBatchMemOpParams write_op(CUdeviceptr address, uint64_t value) {
    CUstreamBatchMemOpParams op = {.writeValue = {.operation = CU_STREAM_MEM_OP_WRITE_VALUE_64, .address = address}};
    op.writeValue.value64 = value;
    return op;
}

static void batches_go_in_their_order(CUstream stream) {
    CUstreamBatchMemOpParams ops[256] = {wait_op(at(&words[0]), 2, CU_STREAM_WAIT_VALUE_EQ), write_op(at(&words[2]), 7)};
    ops[2] = (CUstreamBatchMemOpParams){.memoryBarrier = {CU_STREAM_MEM_OP_BARRIER, CU_STREAM_MEMORY_BARRIER_TYPE_GPU}};
    ops[3] = write_op(at(&words[4]), 8);
    memset((void *)(uintptr_t)words, 0, 64);
    works(cuStreamBatchMemOp(stream, 4, ops, 0));
    answers(CUDA_ERROR_NOT_READY, cuStreamQuery(stream));
    expect(words[2] == 0 && words[4] == 0);
    words[0] = 2;
    works(cuStreamSynchronize(stream));
    expect(words[2] == 7 && words[4] == 8);
    for (int index = 0; index < 256; index++) ops[index] = write_op(at(&words[2 * index]), (uint64_t)index);
    answers(CUDA_ERROR_INVALID_VALUE, cuStreamBatchMemOp(stream, 256, ops, 0));
    works(cuStreamBatchMemOp(stream, 255, ops, 0));
    works(cuStreamSynchronize(stream));
    expect(words[2 * 254] == 254);
    answers(CUDA_ERROR_INVALID_VALUE, cuStreamBatchMemOp(stream, 1, ops, 1));
    answers(CUDA_ERROR_INVALID_VALUE, cuStreamBatchMemOp(stream, 1, NULL, 0));
    ops[0].operation = (CUstreamBatchMemOpType)9;
    answers(CUDA_ERROR_INVALID_VALUE, cuStreamBatchMemOp(stream, 1, ops, 0));
    ops[0] = (CUstreamBatchMemOpParams){.memoryBarrier = {CU_STREAM_MEM_OP_BARRIER, 2}};
    answers(CUDA_ERROR_INVALID_VALUE, cuStreamBatchMemOp(stream, 1, ops, 0));
}

static void what_is_wrong_is_refused(CUstream stream) {
    CUdeviceptr memory = device_words(8), managed = 0;
    int can_flush = -1, older = -1;
    works(cuMemAllocManaged(&managed, 64, CU_MEM_ATTACH_GLOBAL));
    answers(CUDA_ERROR_INVALID_VALUE, cuStreamWriteValue32(stream, 0, 1, 0));
    answers(CUDA_ERROR_INVALID_VALUE, cuStreamWriteValue32(stream, memory + 2, 1, 0));
    answers(CUDA_ERROR_INVALID_VALUE, cuStreamWriteValue64(stream, memory + 4, 1, 0));
    answers(CUDA_ERROR_INVALID_VALUE, cuStreamWaitValue32(stream, managed, 1, 0));
    answers(CUDA_ERROR_INVALID_VALUE, cuStreamWaitValue32(stream, memory, 1, 4));
    answers(CUDA_ERROR_INVALID_VALUE, cuStreamWriteValue32(stream, memory, 1, CU_STREAM_WRITE_VALUE_NO_MEMORY_BARRIER));
    if (is_ours()) answers(CUDA_ERROR_INVALID_HANDLE, cuStreamWriteValue32((CUstream)(uintptr_t)0x1230, memory, 1, 0));
    /* A device says by attributes whether it can flush, and whether it knows the older forms. */
    works(cuDeviceGetAttribute(&can_flush, CU_DEVICE_ATTRIBUTE_CAN_FLUSH_REMOTE_WRITES, device));
    answers(can_flush ? CUDA_SUCCESS : CUDA_ERROR_NOT_SUPPORTED,
            cuStreamWaitValue32(stream, memory, 0, CU_STREAM_WAIT_VALUE_EQ | CU_STREAM_WAIT_VALUE_FLUSH));
    works(cuDeviceGetAttribute(&older, 92, device));
    answers(older ? CUDA_SUCCESS : CUDA_ERROR_NOT_SUPPORTED,
            form("cuStreamWriteValue32", (CUstream, CUdeviceptr, unsigned, unsigned))(stream, memory, 1, 0));
    works(form("cuStreamWriteValue32_v2_ptsz", (CUstream, CUdeviceptr, unsigned, unsigned))(NULL, memory, 23, 0));
    works(cuStreamSynchronize(CU_STREAM_PER_THREAD));
    expect(word_at(memory) == 23);
    works(cuMemFree(managed));
}

static void nodes_do_the_same(CUstream stream) {
    CUgraph graph = new_graph();
    CUgraphNode node = NULL, empty = NULL;
    CUstreamBatchMemOpParams ops[] = {wait_op(at(&words[0]), 1, CU_STREAM_WAIT_VALUE_EQ), write_op(at(&words[2]), 1ull << 40 | 1)};
    CUDA_BATCH_MEM_OP_NODE_PARAMS params = {.ctx = context, .count = 2, .paramArray = ops}, got;
    works(cuGraphAddBatchMemOpNode(&node, graph, NULL, 0, &params));
    works(cuGraphAddEmptyNode(&empty, graph, NULL, 0));
    ops[1] = write_op(at(&words[4]), 99);
    memset(&got, 0, sizeof got);
    works(cuGraphBatchMemOpNodeGetParams(node, &got));
    expect(got.ctx == context && got.count == 2 && got.flags == 0);
    expect(got.paramArray[0].waitValue.address == at(&words[0]) && got.paramArray[0].waitValue.flags == CU_STREAM_WAIT_VALUE_EQ);
    expect(got.paramArray[1].writeValue.address == at(&words[2]) && got.paramArray[1].writeValue.value64 == (1ull << 40 | 1));
    CUgraphExec exec = instance(graph);
    memset((void *)(uintptr_t)words, 0, 64);
    works(cuGraphLaunch(exec, stream));
    answers(CUDA_ERROR_NOT_READY, cuStreamQuery(stream));
    words[0] = 1;
    works(cuStreamSynchronize(stream));
    expect(words[2] == 1 && words[3] == 256 && words[4] == 0);
    /* Values and addresses may change between launches, kinds may not. */
    works(cuGraphExecBatchMemOpNodeSetParams(exec, node, &params));
    run(exec, stream);
    expect(words[4] == 99);
    ops[1] = wait_op(at(&words[0]), 1, CU_STREAM_WAIT_VALUE_EQ);
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphExecBatchMemOpNodeSetParams(exec, node, &params));
    params.count = 1;
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphExecBatchMemOpNodeSetParams(exec, node, &params));
    works(cuGraphBatchMemOpNodeSetParams(node, &params));
    works(cuGraphBatchMemOpNodeGetParams(node, &got));
    expect(got.count == 1);
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphBatchMemOpNodeGetParams(empty, &got));
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphBatchMemOpNodeSetParams(empty, &params));
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphBatchMemOpNodeGetParams(node, NULL));
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphAddBatchMemOpNode(&node, graph, NULL, 0, NULL));
    params.flags = 1;
    answers(CUDA_ERROR_INVALID_VALUE, cuGraphAddBatchMemOpNode(&node, graph, NULL, 0, &params));
    works(cuGraphExecDestroy(exec));
    works(cuGraphDestroy(graph));
}

static void recording_a_stream_writes_them_down(CUstream stream) {
    CUgraph graph = NULL;
    CUgraphNode nodes[3] = {NULL};
    CUgraphNodeType type;
    CUDA_BATCH_MEM_OP_NODE_PARAMS got;
    size_t count = 3;
    memset((void *)(uintptr_t)words, 0, 64);
    works(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
    works(cuStreamWaitValue32(stream, at(&words[0]), 1, CU_STREAM_WAIT_VALUE_GEQ));
    works(cuStreamWriteValue64(stream, at(&words[2]), 5, 0));
    works(cuStreamEndCapture(stream, &graph));
    works(cuGraphGetNodes(graph, nodes, &count));
    expect(count == 2);
    works(cuGraphNodeGetType(nodes[1], &type));
    expect(type == CU_GRAPH_NODE_TYPE_BATCH_MEM_OP);
    works(cuGraphBatchMemOpNodeGetParams(nodes[1], &got));
    expect(got.count == 1 && got.paramArray[0].operation == CU_STREAM_MEM_OP_WRITE_VALUE_64 && got.paramArray[0].writeValue.value64 == 5);
    expect(words[2] == 0);
    CUgraphExec exec = instance(graph);
    works(cuGraphLaunch(exec, stream));
    answers(CUDA_ERROR_NOT_READY, cuStreamQuery(stream));
    words[0] = 3;
    works(cuStreamSynchronize(stream));
    expect(words[2] == 5);
    works(cuGraphExecDestroy(exec));
    works(cuGraphDestroy(graph));
}

int main(void) {
    shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t child = fork();
    if (child == 0) {
        if (!becomes(&shared[1], 1)) _exit(1);
        __atomic_store_n(&shared[0], 77, __ATOMIC_RELEASE);
        _exit(0);
    }
    start();
    words = pinned(4096);
    CUstream stream = stream_of_own(), other = stream_of_own();
    each_comparison_waits_and_goes_on(stream);
    what_holds_already_is_passed(stream);
    a_write_comes_after_what_was_before(stream);
    streams_meet_in_device_memory(stream, other);
    another_process_may_write(stream, child);
    waiting_burns_no_core(stream);
    batches_go_in_their_order(stream);
    what_is_wrong_is_refused(stream);
    nodes_do_the_same(stream);
    recording_a_stream_writes_them_down(stream);
    return verdict_at_rest();
}
