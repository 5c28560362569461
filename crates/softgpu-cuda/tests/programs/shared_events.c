/* An event that two processes hold: `orderly`, `maker_dies` or `user_dies`. The one that lives on is the parent. */
#include "peers.h"

#include <time.h>

typedef struct {
    char bytes[64];
} CUipcEventHandle;

CUresult cuEventQuery(CUevent);
CUresult cuEventDestroy_v2(CUevent);
CUresult cuStreamQuery(CUstream);
CUresult cuStreamWaitEvent(CUstream, CUevent, unsigned);
CUresult cuIpcGetEventHandle(CUipcEventHandle *, CUevent);
CUresult cuIpcOpenEventHandle(CUevent *, CUipcEventHandle);
CUresult cuMemAllocHost_v2(void **, size_t);
CUresult cuMemFreeHost(void *);
CUresult cuMemcpyDtoHAsync_v2(void *, CUdeviceptr, size_t, CUstream);
CUresult cuDeviceGetAttribute(int *, int, CUdevice);

/* How long the work takes before the event is reached; a test that waits for all of the long one has failed. */
enum { SHORT_US = 400000, LONG_US = 60000000, INTERPROCESS = 4, NO_TIMING = 2 };

typedef struct {
    CUipcEventHandle event;
    CUipcMemHandle memory;
} Shown;

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* What is refused of events and handles; `event` is one of ours that was shown. */
static void misuse(CUevent event, CUipcEventHandle handle) {
    CUipcEventHandle other, zeros = {{0}};
    CUevent plain, opened;
    float ms = 0;
    MUST(cuEventCreate(&plain, NO_TIMING));
    EXPECT(400, cuIpcGetEventHandle(&other, plain));
    EXPECT(1, cuIpcGetEventHandle(NULL, event));
    EXPECT(400, cuIpcGetEventHandle(&other, NULL));
    EXPECT(400, cuIpcGetEventHandle(&other, (CUevent)0x1230));
    EXPECT(1, cuIpcOpenEventHandle(NULL, handle));
    EXPECT(1, cuIpcOpenEventHandle(&opened, zeros));
    EXPECT(201, cuIpcOpenEventHandle(&opened, handle));
    EXPECT(400, cuEventElapsedTime(&ms, event, event));
    MUST(cuEventDestroy_v2(plain));
    EXPECT(400, cuIpcGetEventHandle(&other, plain));
    EXPECT(1, cuEventCreate(&plain, INTERPROCESS));
}

static void make(int dies, int survives) {
    Shown shown;
    CUevent event, late;
    CUstream stream;
    CUdeviceptr at;
    int offered = 0;
    context_on(0);
    MUST(cuDeviceGetAttribute(&offered, 125, 0));
    TRUE(offered == 1);
    CUfunction function = kernel("busy");
    MUST(cuStreamCreate(&stream, 1));
    MUST(cuMemAlloc_v2(&at, 4 * MIB));
    MUST(cuMemsetD32Async(at, 1, MIB, stream));
    MUST(cuStreamSynchronize(stream));
    MUST(cuEventCreate(&event, INTERPROCESS | NO_TIMING));
    MUST(cuIpcGetEventHandle(&shown.event, event));
    MUST(cuIpcGetMemHandle(&shown.memory, at));
    misuse(event, shown.event);
    tell(&shown, sizeof shown, -1);
    wait_for_peer();
    if (survives) {
        /* The user has recorded it, behind work that never ends by itself. */
        EXPECT(600, cuEventQuery(event));
        MUST(cuStreamWaitEvent(stream, event, 0));
        kill_child();
        double before = seconds();
        MUST(cuEventSynchronize(event));
        MUST(cuStreamSynchronize(stream));
        TRUE(seconds() - before < 10);
        MUST(cuEventDestroy_v2(event));
        MUST(cuMemFree_v2(at));
        return;
    }
    MUST(busy(function, dies ? LONG_US : SHORT_US, stream));
    MUST(cuMemsetD32Async(at, 2, MIB, stream));
    MUST(cuEventRecord(event, stream));
    EXPECT(600, cuEventQuery(event));
    go_on();
    if (dies)
        pause();
    MUST(cuEventSynchronize(event));
    /* The other one records it now, and ours waits. */
    wait_for_peer();
    EXPECT(600, cuEventQuery(event));
    double before = seconds();
    MUST(cuStreamWaitEvent(stream, event, 0));
    EXPECT(600, cuStreamQuery(stream));
    MUST(cuStreamSynchronize(stream));
    TRUE(seconds() - before > 0.005);
    EXPECT(0, cuEventQuery(event));
    /* One that is shown after it was recorded. */
    MUST(cuEventCreate(&late, INTERPROCESS | NO_TIMING));
    MUST(busy(function, SHORT_US, stream));
    MUST(cuEventRecord(late, stream));
    MUST(cuIpcGetEventHandle(&shown.event, late));
    tell(&shown, sizeof shown, -1);
    wait_for_peer();
    EXPECT(0, cuEventQuery(late));
    peer_cannot_be_suspended();
    MUST(cuEventDestroy_v2(event));
    MUST(cuEventDestroy_v2(late));
    MUST(cuMemFree_v2(at));
    go_on();
}

static void use(int dies, int survives) {
    Shown shown, second;
    CUevent event, again, late, stale;
    CUstream stream;
    CUdeviceptr at;
    volatile unsigned *word;
    hear(&shown, sizeof shown);
    context_on(0);
    MUST(cuStreamCreate(&stream, 1));
    MUST(cuMemAllocHost_v2((void **)&word, 4));
    *word = 0;
    CUfunction function = kernel("busy");
    MUST(cuIpcOpenEventHandle(&event, shown.event));
    MUST(cuIpcOpenEventHandle(&again, shown.event));
    MUST(cuIpcOpenMemHandle_v2(&at, shown.memory, 1));
    EXPECT(0, cuEventQuery(event));
    EXPECT(400, cuIpcGetEventHandle(&shown.event, event));
    if (dies) {
        MUST(busy(function, LONG_US, stream));
        MUST(cuEventRecord(event, stream));
        go_on();
        pause();
    }
    go_on();
    wait_for_peer();
    EXPECT(600, cuEventQuery(event));
    EXPECT(600, cuEventQuery(again));
    MUST(cuStreamWaitEvent(stream, event, 0));
    MUST(cuMemcpyDtoHAsync_v2((void *)word, at, 4, stream));
    if (survives) {
        EXPECT(600, cuStreamQuery(stream));
        kill_child();
        double before = seconds();
        MUST(cuEventSynchronize(event));
        MUST(cuStreamSynchronize(stream));
        TRUE(seconds() - before < 10);
        EXPECT(0, cuEventQuery(again));
        MUST(cuEventDestroy_v2(event));
        MUST(cuEventDestroy_v2(again));
        EXPECT(1, cuIpcOpenEventHandle(&stale, shown.event));
        MUST(cuIpcCloseMemHandle(at));
        return;
    }
    MUST(cuStreamSynchronize(stream));
    TRUE(*word == 2);
    MUST(cuEventSynchronize(again));
    MUST(busy(function, SHORT_US, stream));
    MUST(cuEventRecord(again, stream));
    EXPECT(600, cuEventQuery(event));
    go_on();
    hear(&second, sizeof second);
    MUST(cuIpcOpenEventHandle(&late, second.event));
    MUST(cuEventSynchronize(late));
    peer_cannot_be_suspended();
    go_on();
    wait_for_peer();
    MUST(cuEventDestroy_v2(event));
    MUST(cuEventDestroy_v2(again));
    EXPECT(400, cuEventQuery(again));
    MUST(cuEventDestroy_v2(late));
    EXPECT(1, cuIpcOpenEventHandle(&stale, shown.event));
    MUST(cuIpcCloseMemHandle(at));
}

int main(int count, char **words) {
    TRUE(count == 2);
    int maker_dies = strcmp(words[1], "maker_dies") == 0, user_dies = strcmp(words[1], "user_dies") == 0;
    int child = split();
    if (maker_dies == child)
        make(maker_dies, user_dies);
    else
        use(user_dies, maker_dies);
    if (!child && !maker_dies && !user_dies)
        child_ends();
    return 0;
}
