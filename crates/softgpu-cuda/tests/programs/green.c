/* Green contexts: how multiprocessors are split, streams in the parts, and what belongs to whom. */
#include "driver.h"

typedef struct CUgreenCtx_st *CUgreenCtx;
typedef struct CUdevResourceDesc_st *CUdevResourceDesc;
typedef struct {
    int type;
    unsigned char padding[92];
    unsigned count, fewest, step;
    unsigned char spare[36];
} CUdevResource;

CUresult cuDeviceGetDevResource(CUdevice, CUdevResource *, int);
CUresult cuCtxGetDevResource(CUcontext, CUdevResource *, int);
CUresult cuGreenCtxGetDevResource(CUgreenCtx, CUdevResource *, int);
CUresult cuDevSmResourceSplitByCount(CUdevResource *, unsigned *, const CUdevResource *, CUdevResource *, unsigned, unsigned);
CUresult cuDevResourceGenerateDesc(CUdevResourceDesc *, CUdevResource *, unsigned);
CUresult cuGreenCtxCreate(CUgreenCtx *, CUdevResourceDesc, CUdevice, unsigned);
CUresult cuGreenCtxDestroy(CUgreenCtx);
CUresult cuCtxFromGreenCtx(CUcontext *, CUgreenCtx);
CUresult cuGreenCtxGetId(CUgreenCtx, unsigned long long *);
CUresult cuGreenCtxRecordEvent(CUgreenCtx, CUevent);
CUresult cuGreenCtxWaitEvent(CUgreenCtx, CUevent);
CUresult cuCtxRecordEvent(CUcontext, CUevent);
CUresult cuCtxWaitEvent(CUcontext, CUevent);
CUresult cuGreenCtxStreamCreate(CUstream *, CUgreenCtx, unsigned, int);
CUresult cuStreamGetGreenCtx(CUstream, CUgreenCtx *);
CUresult cuStreamGetCtx(CUstream, CUcontext *);
CUresult cuStreamGetCtx_v2(CUstream, CUcontext *, CUgreenCtx *);
CUresult cuStreamQuery(CUstream);
CUresult cuStreamWaitEvent(CUstream, CUevent, unsigned);
CUresult cuEventQuery(CUevent);
CUresult cuEventDestroy_v2(CUevent);
CUresult cuCtxSetCurrent(CUcontext);
CUresult cuDevicePrimaryCtxRetain(CUcontext *, CUdevice);
CUresult cuDevicePrimaryCtxRelease_v2(CUdevice);
CUresult cuDevicePrimaryCtxGetState(CUdevice, unsigned *, int *);
CUresult cuPointerGetAttribute(void *, int, CUdeviceptr);

_Static_assert(sizeof(CUdevResource) == 144, "as the driver's interface has it");

static void splits(unsigned whole, unsigned fewest, unsigned step) {
    CUdevResource all, parts[64], left, foreign = {.type = 1, .count = 8};
    unsigned count = 0;
    MUST(cuDeviceGetDevResource(0, &all, 1));
    TRUE(all.type == 1 && all.count == whole && all.fewest == fewest && all.step == step);
    MUST(cuDevSmResourceSplitByCount(NULL, &count, &all, NULL, 0, 1));
    TRUE(count == whole / fewest);
    count = 2;
    MUST(cuDevSmResourceSplitByCount(parts, &count, &all, &left, 0, fewest + 1));
    TRUE(count == 2 && parts[0].count == fewest + step && parts[1].count == fewest + step);
    TRUE(left.type == 1 && left.count == whole - 2 * (fewest + step));
    count = 64;
    MUST(cuDevSmResourceSplitByCount(parts, &count, &all, &left, 0, whole));
    TRUE(whole % step || (count == 1 && left.type == 0));
    count = 1;
    MUST(cuDevSmResourceSplitByCount(parts, &count, &all, &left, 1, 3));
    TRUE(parts[0].count == 4);
    EXPECT(1, cuDevSmResourceSplitByCount(parts, NULL, &all, &left, 0, 8));
    EXPECT(1, cuDevSmResourceSplitByCount(parts, &count, NULL, &left, 0, 8));
    EXPECT(1, cuDevSmResourceSplitByCount(parts, &count, &all, &left, 0, whole + 1));
    EXPECT(1, cuDevSmResourceSplitByCount(parts, &count, &all, &left, 8, 8));
    EXPECT(915, cuDevSmResourceSplitByCount(parts + 1, &count, parts, &left, 0, 2));
    EXPECT(1, cuDevSmResourceSplitByCount(parts, &count, &foreign, &left, 0, 8));
    foreign.type = 3;
    EXPECT(914, cuDevSmResourceSplitByCount(parts, &count, &foreign, &left, 0, 8));
    EXPECT(914, cuDeviceGetDevResource(0, &all, 2));
    EXPECT(1, cuDeviceGetDevResource(0, NULL, 1));
    EXPECT(101, cuDeviceGetDevResource(9, &all, 1));
}

static CUgreenCtx part_of(int device, unsigned least, CUdevResource *left) {
    CUdevResource all, part, other;
    CUdevResourceDesc desc;
    CUgreenCtx green;
    unsigned count = 1;
    MUST(cuDeviceGetDevResource(device, &all, 1));
    MUST(cuDevSmResourceSplitByCount(&part, &count, &all, left, 0, least));
    MUST(cuDevResourceGenerateDesc(&desc, &part, 1));
    EXPECT(1, cuDevResourceGenerateDesc(NULL, &part, 1));
    EXPECT(1, cuDevResourceGenerateDesc(&desc, &part, 0));
    EXPECT(915, cuDevResourceGenerateDesc(&desc, (CUdevResource[]){part, all}, 2));
    EXPECT(915, cuDevResourceGenerateDesc(&desc, (CUdevResource[]){part, part}, 2));
    MUST(cuDevResourceGenerateDesc(&desc, (CUdevResource[]){part, *left}, 2));
    MUST(cuDevResourceGenerateDesc(&desc, &part, 1));
    EXPECT(1, cuGreenCtxCreate(NULL, desc, device, 1));
    EXPECT(1, cuGreenCtxCreate(&green, desc, device, 0));
    EXPECT(1, cuGreenCtxCreate(&green, NULL, device, 1));
    EXPECT(101, cuGreenCtxCreate(&green, desc, 9, 1));
    EXPECT(1, cuGreenCtxCreate(&green, desc, 1 - device, 1));
    MUST(cuGreenCtxCreate(&green, desc, device, 1));
    MUST(cuGreenCtxGetDevResource(green, &other, 1));
    TRUE(other.count == part.count);
    /* What a green context has can be split again. */
    count = 1;
    MUST(cuDevSmResourceSplitByCount(&part, &count, &other, NULL, 0, 8));
    TRUE(part.count == 8);
    return green;
}

static void parts(void) {
    CUcontext primary, context, seen;
    CUdevResource left, whole;
    CUgreenCtx green = part_of(0, 30, &left), of;
    CUstream stream, second, plain;
    CUevent event;
    CUdeviceptr at;
    unsigned long long id = 0, same = 0;
    unsigned word = 0, flags;
    int active = 0;
    MUST(cuDevicePrimaryCtxGetState(0, &flags, &active));
    TRUE(active == 1);
    MUST(cuDevicePrimaryCtxRetain(&primary, 0));
    MUST(cuCtxFromGreenCtx(&context, green));
    TRUE(context != primary);
    EXPECT(201, cuCtxDestroy_v2(context));
    MUST(cuCtxGetDevResource(context, &whole, 1));
    TRUE(whole.count == 32);
    MUST(cuCtxGetDevResource(primary, &whole, 1));
    TRUE(whole.count == 132);
    MUST(cuGreenCtxGetId(green, &id));
    EXPECT(201, cuGreenCtxGetId(NULL, &same));
    MUST(cuCtxSetCurrent(context));
    MUST(cuGreenCtxGetId(NULL, &same));
    TRUE(id == same && id != 0);

    EXPECT(1, cuGreenCtxStreamCreate(&stream, green, 0, 0));
    EXPECT(1, cuGreenCtxStreamCreate(NULL, green, 1, 0));
    EXPECT(201, cuGreenCtxStreamCreate(&stream, NULL, 1, 0));
    MUST(cuGreenCtxStreamCreate(&stream, green, 1, -1));
    MUST(cuStreamCreate(&second, 0));
    MUST(cuStreamGetGreenCtx(second, &of));
    TRUE(of == green);
    MUST(cuStreamGetGreenCtx(NULL, &of));
    TRUE(of == green);
    MUST(cuStreamGetCtx(stream, &seen));
    TRUE(seen == context);
    MUST(cuStreamGetCtx_v2(stream, &seen, &of));
    TRUE(seen == primary && of == green);

    /* Memory, modules and events are the primary context's, whoever is current. */
    CUfunction function = kernel("busy");
    MUST(cuMemAlloc_v2(&at, 4096));
    MUST(cuPointerGetAttribute(&seen, 1, at));
    TRUE(seen == primary);
    MUST(cuEventCreate(&event, 0));
    MUST(cuCtxSetCurrent(primary));
    MUST(cuStreamCreate(&plain, 1));
    MUST(cuStreamGetGreenCtx(plain, &of));
    TRUE(of == NULL);
    MUST(busy(function, 200000, stream));
    MUST(cuMemsetD32Async(at, 7, 1024, second));
    MUST(busy(function, 200000, second));
    MUST(cuGreenCtxRecordEvent(green, event));
    EXPECT(600, cuEventQuery(event));
    MUST(cuStreamWaitEvent(plain, event, 0));
    EXPECT(600, cuStreamQuery(plain));
    MUST(cuStreamSynchronize(plain));
    EXPECT(0, cuStreamQuery(stream));
    EXPECT(0, cuStreamQuery(second));
    MUST(cuMemcpyDtoH_v2(&word, at, 4));
    TRUE(word == 7);

    /* Everything of the green context waits, also a stream that is made later; synchronizing the primary one waits. */
    CUstream later;
    MUST(busy(function, 200000, plain));
    MUST(cuEventRecord(event, plain));
    MUST(cuGreenCtxWaitEvent(green, event));
    MUST(cuGreenCtxStreamCreate(&later, green, 1, 0));
    EXPECT(600, cuStreamQuery(stream));
    EXPECT(600, cuStreamQuery(later));
    MUST(cuCtxSynchronize());
    EXPECT(0, cuStreamQuery(later));
    MUST(busy(function, 200000, later));
    MUST(cuCtxRecordEvent(primary, event));
    MUST(cuCtxWaitEvent(primary, event));
    EXPECT(600, cuStreamQuery(plain));
    EXPECT(201, cuCtxRecordEvent((CUcontext)0x50, event));
    EXPECT(400, cuCtxWaitEvent(primary, (CUevent)0x50));
    MUST(cuEventSynchronize(event));
    MUST(cuStreamDestroy_v2(second));
    MUST(cuStreamDestroy_v2(later));

    MUST(cuGreenCtxDestroy(green));
    EXPECT(709, cuGreenCtxDestroy(green));
    EXPECT(709, cuStreamQuery(stream));
    EXPECT(709, cuStreamDestroy_v2(stream));
    EXPECT(709, cuCtxFromGreenCtx(&seen, green));
    EXPECT(201, cuGreenCtxDestroy(NULL));
    /* Memory stays where it was. */
    MUST(cuMemcpyDtoH_v2(&word, at, 4));
    MUST(cuMemFree_v2(at));
    MUST(cuEventDestroy_v2(event));
    MUST(cuDevicePrimaryCtxRelease_v2(0));
    MUST(cuDevicePrimaryCtxGetState(0, &flags, &active));
    TRUE(active == 0);
}

int main(int count, char **words) {
    TRUE(count == 4);
    MUST(cuInit(0));
    splits((unsigned)atoi(words[1]), (unsigned)atoi(words[2]), (unsigned)atoi(words[3]));
    if (strcmp(words[1], "132") == 0)
        parts();
    return 0;
}
