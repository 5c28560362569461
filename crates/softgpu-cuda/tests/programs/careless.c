/* Does what a program must not, or what only careless ones do; one scenario for each word. It is never killed for that. */
#include "driver.h"

#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

typedef void *CUhandle;

CUresult cuStreamQuery(CUstream);
CUresult cuMemHostAlloc(void **, size_t, unsigned);
CUresult cuMemFreeHost(void *);
CUresult cuMemHostRegister_v2(void *, size_t, unsigned);
CUresult cuMemHostUnregister(void *);
CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr, CUdeviceptr, size_t, CUstream);
CUresult cuMemcpyAsync(CUdeviceptr, CUdeviceptr, size_t, CUstream);
CUresult cuMemsetD8Async(CUdeviceptr, unsigned char, size_t, CUstream);
CUresult cuMemsetD2D32Async(CUdeviceptr, size_t, unsigned, size_t, size_t, CUstream);
CUresult cuMemcpy2D_v2(const void *);
CUresult cuGraphCreate(CUgraph *, unsigned);
CUresult cuGraphDestroy(CUgraph);
CUresult cuGraphAddNode_v2(CUhandle *, CUgraph, const CUhandle *, const void *, size_t, void *);
CUresult cuIpcGetEventHandle(void *, CUevent);
CUresult cuEventDestroy_v2(CUevent);
CUresult cuUserObjectCreate(CUhandle *, void *, void (*)(void *), unsigned, unsigned);
CUresult cuUserObjectRelease(CUhandle, unsigned);
CUresult cuGreenCtxDestroy(CUhandle);
CUresult cuGreenCtxCreate(CUhandle *, CUhandle, CUdevice, unsigned);
CUresult cuDeviceGetDevResource(CUdevice, void *, int);
CUresult cuDevResourceGenerateDesc(CUhandle *, void *, unsigned);
CUresult cuGreenCtxStreamCreate(CUstream *, CUhandle, unsigned, int);
CUresult cuCtxWaitEvent(CUcontext, CUevent);
CUresult cuDevicePrimaryCtxReset_v2(CUdevice);
CUresult cuDevicePrimaryCtxRetain(CUcontext *, CUdevice);
CUresult cuDevicePrimaryCtxRelease_v2(CUdevice);
CUresult cuDevicePrimaryCtxGetState(CUdevice, unsigned *, int *);

static CUcontext context;
static CUstream one, other;

/* Until the stream's context has failed. */
static int failure_of(CUstream stream) {
    int code = 600;
    while ((code = cuStreamQuery(stream)) == 600)
        usleep(1000);
    return code;
}

/* A stream waits for a word in memory of a pool that another stream gives back. */
static void pool_word(void) {
    CUdeviceptr word;
    MUST(cuMemAllocAsync(&word, 4, other));
    MUST(cuMemsetD32Async(word, 0, 1, other));
    MUST(cuStreamSynchronize(other));
    MUST(cuStreamWaitValue32_v2(one, word, 1, 1));
    MUST(cuMemFreeAsync(word, other));
    EXPECT(700, (cuStreamSynchronize(other), failure_of(one)));
}

/* A stream waits for a word in host memory that is freed in another context. */
static void host_word(void) {
    void *word;
    MUST(cuMemHostAlloc(&word, 4096, 3));
    memset(word, 0, 4);
    MUST(cuStreamWaitValue32_v2(one, (CUdeviceptr)word, 1, 1));
    context_on(0);
    MUST(cuMemFreeHost(word));
    EXPECT(700, failure_of(one));
}

/* The same with memory of the program, which is then unmapped. */
static void registered_word(void) {
    void *word = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(cuMemHostRegister_v2(word, 4096, 0));
    MUST(cuStreamWaitValue32_v2(one, (CUdeviceptr)word, 1, 1));
    context_on(0);
    MUST(cuMemHostUnregister(word));
    munmap(word, 4096);
    EXPECT(700, failure_of(one));
}

/* What fills memory comes to it when it is gone; what comes in the order of the stream finds it. */
static void pool_fill(void) {
    CUdeviceptr at, word;
    MUST(cuMemAlloc_v2(&word, 4));
    MUST(cuMemsetD32Async(word, 0, 1, other));
    MUST(cuMemAllocAsync(&at, 4 << 20, other));
    MUST(cuStreamSynchronize(other));
    MUST(cuStreamWaitValue32_v2(one, word, 1, 1));
    MUST(cuMemsetD32Async(at, 1, 1 << 20, one));
    MUST(cuMemFreeAsync(at, one));
    MUST(cuStreamWriteValue32_v2(other, word, 1, 0));
    MUST(cuStreamSynchronize(one));
    MUST(cuMemAllocAsync(&at, 4 << 20, other));
    MUST(cuStreamSynchronize(other));
    MUST(cuStreamWaitValue32_v2(one, word, 2, 1));
    MUST(cuMemsetD32Async(at, 1, 1 << 20, one));
    MUST(cuMemFreeAsync(at, other));
    MUST(cuStreamSynchronize(other));
    MUST(cuStreamWriteValue32_v2(other, word, 2, 0));
    EXPECT(700, failure_of(one));
}

/* Memory that is freed and had again in a stream is there for what came before, whoever waits for something else. */
static void pool_reuse(void) {
    CUdeviceptr at, again, word;
    const size_t bytes = (size_t)96 << 20;
    MUST(cuMemAlloc_v2(&word, 4));
    MUST(cuMemsetD32Async(word, 0, 1, other));
    MUST(cuStreamSynchronize(other));
    MUST(cuMemAllocAsync(&at, bytes, one));
    MUST(cuStreamWaitValue32_v2(one, word, 1, 1));
    MUST(cuMemsetD8Async(at, 1, bytes, one));
    MUST(cuMemFreeAsync(at, one));
    MUST(cuMemAllocAsync(&again, 4, one));
    TRUE(again == at);
    MUST(cuStreamSynchronize(other));
    MUST(cuStreamWriteValue32_v2(other, word, 1, 0));
    MUST(cuStreamSynchronize(one));
    MUST(cuMemFreeAsync(again, one));
    MUST(cuCtxDestroy_v2(context));
}

/* A copy between addresses of which one was given back. */
static void freed_side(void) {
    CUdeviceptr from, to;
    MUST(cuMemAlloc_v2(&from, 4 << 20));
    MUST(cuMemAlloc_v2(&to, 4 << 20));
    MUST(cuMemFree_v2(from));
    EXPECT(1, cuMemcpyAsync(to, from, 16, one));
    EXPECT(1, cuMemcpyAsync(from, to, 16, one));
    EXPECT(1, cuMemcpyHtoD_v2(to, (void *)from, 16));
    MUST(cuStreamSynchronize(one));
}

/* A context that failed ends while a copy is under way in it. */
static void copy(void) {
    CUdeviceptr from, to;
    const size_t bytes = (size_t)512 << 20;
    MUST(cuMemAlloc_v2(&from, bytes));
    MUST(cuMemAlloc_v2(&to, bytes));
    MUST(cuMemsetD8Async(from, 1, bytes, one));
    MUST(cuStreamSynchronize(one));
    CUfunction fill = kernel("fill");
    CUdeviceptr nowhere = 64;
    unsigned value = 0;
    uint64_t count = 1;
    void *arguments[] = {&nowhere, &value, &count};
    MUST(cuMemcpyDtoDAsync_v2(to, from, bytes, one));
    usleep(10000);
    MUST(cuLaunchKernel(fill, 1, 1, 1, 1, 1, 1, 0, other, arguments, NULL));
    EXPECT(700, cuStreamSynchronize(other));
    MUST(cuCtxDestroy_v2(context));
}

/* Lengths that no memory has. */
static void lengths(void) {
    CUdeviceptr at;
    CUgraph graph;
    CUhandle node, deps[1] = {0};
    uint64_t empty[32] = {5};
    MUST(cuMemAlloc_v2(&at, 4096));
    /* CUDA_MEMCPY2D from device to device, with the pitch of both sides. */
    uint64_t two[16] = {[2] = 2, [4] = at, [9] = 2, [11] = at};
    const uint64_t sizes[][3] = {{1ull << 63, 8, 3}, {0, 1ull << 40, 1ull << 40}, {1ull << 63, 8, 1ull << 63}};
    for (int i = 0; i < 3; i++) {
        two[6] = two[13] = sizes[i][0], two[14] = sizes[i][1], two[15] = sizes[i][2];
        EXPECT(1, cuMemcpy2D_v2(two));
    }
    two[6] = two[13] = 1ull << 62, two[14] = 8, two[15] = 1, two[1] = two[8] = 1ull << 60;
    EXPECT(1, cuMemcpy2D_v2(two));
    EXPECT(1, cuMemsetD2D32Async(at, 1ull << 63, 1, 1, 3, one));
    EXPECT(1, cuMemsetD2D32Async(at, 1ull << 40, 1, 1ull << 62, 2, one));
    MUST(cuGraphCreate(&graph, 0));
    for (int bits = 44; bits < 64; bits += 6) {
        EXPECT(1, cuGraphAddNode_v2(&node, graph, NULL, NULL, 1ull << bits, empty));
        EXPECT(2, cuGraphAddNode_v2(&node, graph, deps, NULL, 1ull << bits, empty));
    }
    MUST(cuGraphDestroy(graph));
    /* More time than there is, and everybody else goes on. */
    CUfunction work = kernel("busy");
    for (int i = 0; i < 4; i++)
        MUST(busy(work, UINT64_MAX, one));
    EXPECT(600, cuStreamQuery(one));
    MUST(busy(work, 1, other));
    usleep(10000);
    EXPECT(600, cuStreamQuery(one));
    exit(0);
}

/* A recording ends with the context it was in, and forbids nothing any more. */
static void recording(void) {
    CUdeviceptr at;
    MUST(cuStreamBeginCapture_v2(one, 0));
    MUST(cuCtxDestroy_v2(context));
    context_on(0);
    MUST(cuMemAlloc_v2(&at, 4096));
}

static void nothing(void *argument) {
    (void)argument;
}

/* Handles of one kind for another kind, and a primary context that ends under a green one. */
static void kinds(void) {
    char resource[144];
    CUhandle object, description, green;
    CUcontext primary;
    unsigned flags;
    int active;
    MUST(cuUserObjectCreate(&object, NULL, nothing, 1, 1));
    MUST(cuDeviceGetDevResource(0, resource, 1));
    MUST(cuDevResourceGenerateDesc(&description, resource, 1));
    MUST(cuGreenCtxCreate(&green, description, 0, 1));
    EXPECT(709, cuGreenCtxDestroy(object));
    /* Nobody waits for a context while a stream of a green one in it is recorded. */
    CUstream recorded;
    CUevent event;
    CUgraph graph;
    MUST(cuDevicePrimaryCtxRetain(&primary, 0));
    MUST(cuEventCreate(&event, 0));
    MUST(cuGreenCtxStreamCreate(&recorded, green, 1, 0));
    MUST(cuStreamBeginCapture_v2(recorded, 2));
    EXPECT(900, cuCtxWaitEvent(primary, event));
    EXPECT(901, cuStreamEndCapture(recorded, &graph));
    MUST(cuDevicePrimaryCtxRelease_v2(0));
    EXPECT(1, cuUserObjectRelease(green, 1));
    MUST(cuDevicePrimaryCtxReset_v2(0));
    EXPECT(709, cuGreenCtxDestroy(green));
    MUST(cuDevicePrimaryCtxRetain(&primary, 0));
    MUST(cuDevicePrimaryCtxRelease_v2(0));
    MUST(cuDevicePrimaryCtxGetState(0, &flags, &active));
    TRUE(active == 0);
    MUST(cuUserObjectRelease(object, 1));
}

/* A stream that is destroyed goes on with what is in it, and nobody waits for that. */
static void stream(void) {
    CUdeviceptr word;
    unsigned value = 0;
    MUST(cuMemAlloc_v2(&word, 8));
    MUST(cuMemsetD32Async(word, 0, 2, other));
    MUST(cuStreamSynchronize(other));
    MUST(cuStreamWaitValue32_v2(one, word, 1, 1));
    MUST(cuMemsetD32Async(word + 4, 7, 1, one));
    MUST(cuStreamDestroy_v2(one));
    EXPECT(400, cuStreamQuery(one));
    EXPECT(400, cuStreamDestroy_v2(one));
    MUST(cuStreamWriteValue32_v2(other, word, 1, 0));
    MUST(cuCtxSynchronize());
    MUST(cuMemcpyDtoH_v2(&value, word + 4, 4));
    TRUE(value == 7);
    MUST(cuMemFree_v2(word));
    MUST(cuCtxDestroy_v2(context));
}

/* An event that others may hold is waited for by whatever clock. */
static void own_event(void) {
    char handle[64];
    CUevent event;
    MUST(cuEventCreate(&event, 6));
    MUST(cuIpcGetEventHandle(handle, event));
    CUfunction work = kernel("busy");
    MUST(busy(work, 300000, one));
    MUST(cuEventRecord(event, one));
    struct timespec used;
    MUST(cuEventSynchronize(event));
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    TRUE(used.tv_sec == 0 && used.tv_nsec < 150000000);
    MUST(busy(work, 5000, one));
    MUST(cuEventRecord(event, one));
    MUST(cuEventSynchronize(event));
    MUST(cuEventDestroy_v2(event));
}

/* A function of the program that takes its time, or bytes that do, cost nobody else's. */
static void slow(void *argument) {
    (void)argument;
    usleep(500000);
}

CUresult cuLaunchHostFunc(CUstream, void (*)(void *), void *);

static void host_function(void) {
    struct timespec before, after;
    MUST(cuLaunchHostFunc(one, slow, NULL));
    usleep(50000);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
    usleep(400000);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
    TRUE((after.tv_sec - before.tv_sec) * 1000000000L + after.tv_nsec - before.tv_nsec < 12000000);
    MUST(cuStreamSynchronize(one));
}

/* An event that is recorded again elsewhere is not reached by what was recorded before. */
static void recorded_again(void) {
    CUevent begin, event;
    float ms;
    CUfunction work = kernel("busy");
    MUST(cuEventCreate(&begin, 0));
    MUST(cuEventCreate(&event, 0));
    MUST(cuEventRecord(begin, one));
    MUST(cuStreamSynchronize(one));
    /* Both records have the same number in their streams. */
    MUST(busy(work, 1000, other));
    MUST(cuStreamSynchronize(other));
    MUST(busy(work, 20000, one));
    MUST(cuEventRecord(event, one));
    MUST(busy(work, 60000000, other));
    MUST(cuEventRecord(event, other));
    EXPECT(600, cuEventElapsedTime(&ms, begin, event));
    MUST(cuStreamSynchronize(one));
    EXPECT(600, cuEventElapsedTime(&ms, begin, event));
    exit(0);
}

int main(int count, char **words) {
    const struct {
        const char *name;
        void (*run)(void);
    } all[] = {{"pool_word", pool_word}, {"host_word", host_word}, {"registered_word", registered_word},
               {"pool_fill", pool_fill}, {"pool_reuse", pool_reuse}, {"freed_side", freed_side},
               {"copy", copy}, {"lengths", lengths}, {"recording", recording},
               {"kinds", kinds}, {"stream", stream}, {"own_event", own_event}, {"host_function", host_function},
               {"recorded_again", recorded_again}};
    TRUE(count == 2);
    alarm(20);
    context = context_on(0);
    MUST(cuStreamCreate(&one, 1));
    MUST(cuStreamCreate(&other, 1));
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++)
        if (!strcmp(words[1], all[i].name)) {
            all[i].run();
            return 0;
        }
    TRUE(!"a scenario");
}
