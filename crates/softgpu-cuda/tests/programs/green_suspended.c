/* A process with a green context is suspended and goes on: its streams have their primary context's new queue. */
#include "peers.h"

typedef struct {
    int type;
    unsigned char rest[140];
} CUdevResource;

CUresult cuDeviceGetDevResource(CUdevice, CUdevResource *, int);
CUresult cuDevSmResourceSplitByCount(CUdevResource *, unsigned *, const CUdevResource *, CUdevResource *, unsigned, unsigned);
CUresult cuDevResourceGenerateDesc(void **, CUdevResource *, unsigned);
CUresult cuGreenCtxCreate(void **, void *, CUdevice, unsigned);
CUresult cuGreenCtxDestroy(void *);
CUresult cuGreenCtxStreamCreate(CUstream *, void *, unsigned, int);
CUresult cuCtxFromGreenCtx(CUcontext *, void *);
CUresult cuCtxSetCurrent(CUcontext);

static void target(void) {
    CUdevResource all, part;
    CUcontext context;
    CUstream stream;
    CUdeviceptr at;
    void *description, *green;
    unsigned count = 1, word = 0;
    MUST(cuInit(0));
    MUST(cuDeviceGetDevResource(0, &all, 1));
    MUST(cuDevSmResourceSplitByCount(&part, &count, &all, NULL, 0, 16));
    MUST(cuDevResourceGenerateDesc(&description, &part, 1));
    MUST(cuGreenCtxCreate(&green, description, 0, 1));
    MUST(cuCtxFromGreenCtx(&context, green));
    MUST(cuCtxSetCurrent(context));
    MUST(cuGreenCtxStreamCreate(&stream, green, 1, 0));
    MUST(cuMemAlloc_v2(&at, 4096));
    MUST(cuMemsetD32Async(at, 5, 1024, stream));
    MUST(cuStreamSynchronize(stream));
    go_on();
    wait_for_peer();
    MUST(cuMemcpyDtoH_v2(&word, at, 4));
    TRUE(word == 5);
    MUST(busy(kernel("busy"), 1000, stream));
    MUST(cuMemsetD32Async(at, 6, 1024, stream));
    MUST(cuStreamSynchronize(stream));
    MUST(cuMemcpyDtoH_v2(&word, at, 4));
    TRUE(word == 6);
    MUST(cuMemFree_v2(at));
    MUST(cuStreamDestroy_v2(stream));
    MUST(cuGreenCtxDestroy(green));
}

int main(void) {
    CUlockArgs none = {0};
    if (split()) {
        target();
        return 0;
    }
    MUST(cuInit(0));
    wait_for_peer();
    MUST(cuCheckpointProcessLock(peer, &none));
    MUST(cuCheckpointProcessCheckpoint(peer, NULL));
    MUST(cuCheckpointProcessRestore(peer, NULL));
    MUST(cuCheckpointProcessUnlock(peer, NULL));
    go_on();
    child_ends();
    return 0;
}
