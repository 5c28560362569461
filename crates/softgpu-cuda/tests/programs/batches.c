/* Copies, prefetches and discards in batches: all of one or nothing of it, with true results. */
#include "driver.h"

typedef struct {
    int type, id;
} CUlocation;
typedef struct {
    int order;
    CUlocation from_hint, to_hint;
    unsigned flags;
} CUattributes;
typedef struct CUarray_st *CUarray;
typedef struct {
    size_t width, height, depth;
    unsigned format, channels, flags;
} CUarray3DDesc;
typedef struct {
    int type;
    union {
        struct {
            CUdeviceptr at;
            size_t row, layer;
            CUlocation hint;
        } pointer;
        struct {
            CUarray array;
            size_t x, y, z;
        } array;
    };
} CUoperand;
typedef struct {
    CUoperand from, to;
    size_t extent[3];
    int order;
    unsigned flags;
} CUoperation;

CUresult cuMemcpyBatchAsync(CUdeviceptr *, CUdeviceptr *, size_t *, size_t, CUattributes *, size_t *, size_t, size_t *, CUstream);
CUresult cuMemcpyBatchAsync_v2(CUdeviceptr *, CUdeviceptr *, size_t *, size_t, CUattributes *, size_t *, size_t, CUstream);
CUresult cuMemcpyBatchAsync_v2_ptsz(CUdeviceptr *, CUdeviceptr *, size_t *, size_t, CUattributes *, size_t *, size_t, CUstream);
CUresult cuMemcpy3DBatchAsync(size_t, CUoperation *, size_t *, unsigned long long, CUstream);
CUresult cuMemcpy3DBatchAsync_v2(size_t, CUoperation *, unsigned long long, CUstream);
CUresult cuMemPrefetchBatchAsync(CUdeviceptr *, size_t *, size_t, CUlocation *, size_t *, size_t, unsigned long long, CUstream);
CUresult cuMemDiscardBatchAsync(CUdeviceptr *, size_t *, size_t, unsigned long long, CUstream);
CUresult cuMemDiscardAndPrefetchBatchAsync(CUdeviceptr *, size_t *, size_t, CUlocation *, size_t *, size_t, unsigned long long, CUstream);
CUresult cuMemRangeGetAttribute(void *, size_t, int, CUdeviceptr, size_t);
CUresult cuArray3DCreate_v2(CUarray *, const CUarray3DDesc *);
CUresult cuArrayDestroy(CUarray);
CUresult cuMemcpyAtoA_v2(CUarray, size_t, CUarray, size_t, size_t);
CUresult cuMemcpyHtoA_v2(CUarray, size_t, const void *, size_t);
CUresult cuMemcpyAtoH_v2(void *, CUarray, size_t, size_t);

_Static_assert(sizeof(CUattributes) == 24 && sizeof(CUoperation) == 112, "as the driver's interface has them");

enum { COPIES = 10, BYTES = 1000, STREAM_ORDER = 1, DURING_CALL = 2, ANY_ORDER = 3 };

static void copies(CUstream stream) {
    CUdeviceptr to[COPIES], from[COPIES];
    size_t sizes[COPIES], first[] = {0, 6}, failed = 77;
    CUattributes attributes[] = {{.order = STREAM_ORDER}, {.order = DURING_CALL, .flags = 1}};
    unsigned char bytes[COPIES][BYTES], back[BYTES];
    for (int i = 0; i < COPIES; i++) {
        memset(bytes[i], i + 1, BYTES);
        MUST(cuMemAlloc_v2(&to[i], BYTES));
        from[i] = (CUdeviceptr)(uintptr_t)bytes[i];
        sizes[i] = BYTES - (size_t)i;
    }
    MUST(cuMemcpyBatchAsync_v2(to, from, sizes, COPIES, attributes, first, 2, stream));
    /* What was to be read during the call may change now; the rest not before the stream has come to it. */
    memset(bytes[6], 99, 4 * BYTES);
    MUST(cuStreamSynchronize(stream));
    for (int i = 0; i < COPIES; i++) {
        MUST(cuMemcpyDtoH_v2(back, to[i], BYTES));
        TRUE(back[0] == i + 1 && back[BYTES - i - 1] == i + 1 && (i == 0 || back[BYTES - 1] == 0));
    }
    /* From device to device, by the form that says where an error is. */
    MUST(cuMemcpyBatchAsync(&to[1], &to[0], &sizes[1], 1, attributes, first, 1, &failed, stream));
    TRUE(failed == (size_t)-1);
    MUST(cuStreamSynchronize(stream));
    MUST(cuMemcpyDtoH_v2(back, to[1], BYTES));
    TRUE(back[0] == 1 && back[BYTES - 2] == 1);
    MUST(cuMemcpyBatchAsync_v2_ptsz(to, from, sizes, 1, attributes, first, 1, NULL));
    MUST(cuCtxSynchronize());

    CUdeviceptr kept = to[7];
    unsigned char before[BYTES];
    MUST(cuMemcpyDtoH_v2(before, to[0], BYTES));
    memset(bytes, 55, sizeof bytes);
    to[7] = 0;
    EXPECT(1, cuMemcpyBatchAsync(to, from, sizes, COPIES, attributes, first, 2, &failed, stream));
    TRUE(failed == 7);
    to[7] = kept;
    MUST(cuMemcpyDtoH_v2(back, to[0], BYTES));
    TRUE(memcmp(back, before, BYTES) == 0);
    EXPECT(1, cuMemcpyBatchAsync_v2(to, from, sizes, COPIES, attributes, first, 2, NULL));
    EXPECT(1, cuMemcpyBatchAsync_v2(to, from, sizes, COPIES, attributes, first, 2, (CUstream)1));
    EXPECT(1, cuMemcpyBatchAsync_v2(to, from, sizes, 0, attributes, first, 2, stream));
    EXPECT(1, cuMemcpyBatchAsync_v2(to, from, sizes, COPIES, attributes, first, 0, stream));
    EXPECT(1, cuMemcpyBatchAsync_v2(NULL, from, sizes, COPIES, attributes, first, 2, stream));
    EXPECT(1, cuMemcpyBatchAsync_v2(to, from, NULL, COPIES, attributes, first, 2, stream));
    EXPECT(1, cuMemcpyBatchAsync_v2(to, from, sizes, 1, attributes, first, 2, stream));
    EXPECT(1, cuMemcpyBatchAsync_v2(to, from, sizes, 6, attributes, first, 2, stream));
    EXPECT(1, cuMemcpyBatchAsync_v2(to, from, sizes, COPIES, attributes, &first[1], 1, stream));
    EXPECT(1, cuMemcpyBatchAsync_v2(to, from, sizes, COPIES, attributes, (size_t[]){0, 0}, 2, stream));
    EXPECT(1, cuMemcpyBatchAsync_v2(to, from, sizes, COPIES, &(CUattributes){.order = 0}, first, 1, stream));
    EXPECT(1, cuMemcpyBatchAsync_v2(to, from, sizes, COPIES, &(CUattributes){.order = 1, .flags = 2}, first, 1, stream));
    EXPECT(400, cuMemcpyBatchAsync_v2(to, from, sizes, COPIES, attributes, first, 2, (CUstream)0x1230));
    CUgraph graph;
    MUST(cuStreamBeginCapture_v2(stream, 0));
    EXPECT(900, cuMemcpyBatchAsync_v2(to, from, sizes, COPIES, attributes, first, 2, stream));
    EXPECT(901, cuStreamEndCapture(stream, &graph));
    for (int i = 0; i < COPIES; i++)
        MUST(cuMemFree_v2(to[i]));
}

static void blocks(CUstream stream) {
    enum { W = 8, H = 4, D = 3 };
    float in[D][H][W], out[D][H][W] = {{{0}}};
    CUarray3DDesc desc = {.width = W, .height = H, .depth = D, .format = 0x20, .channels = 1};
    CUarray array, other;
    size_t failed = 77;
    for (int i = 0; i < W * H * D; i++)
        (&in[0][0][0])[i] = (float)i;
    MUST(cuArray3DCreate_v2(&array, &desc));
    MUST(cuArray3DCreate_v2(&other, &desc));
    CUoperation there = {.from = {.type = 1, .pointer = {.at = (CUdeviceptr)(uintptr_t)in}}, .to = {.type = 2, .array = {.array = array}}, .extent = {W, H, D}, .order = ANY_ORDER};
    MUST(cuMemcpy3DBatchAsync_v2(1, &there, 0, stream));
    CUoperation across = {.from = there.to, .to = {.type = 2, .array = {other, 1, 1, 1}}, .extent = {W - 1, H - 1, D - 1}, .order = STREAM_ORDER};
    MUST(cuMemcpy3DBatchAsync(1, &across, &failed, 0, stream));
    TRUE(failed == (size_t)-1);
    CUoperation back = {.from = across.to, .to = {.type = 1, .pointer = {.at = (CUdeviceptr)(uintptr_t)out, .row = W, .layer = H}}, .extent = {W - 1, H - 1, D - 1}, .order = STREAM_ORDER};
    MUST(cuMemcpy3DBatchAsync_v2(1, &back, 0, stream));
    MUST(cuStreamSynchronize(stream));
    for (int z = 0; z < D - 1; z++)
        for (int y = 0; y < H - 1; y++)
            for (int x = 0; x < W - 1; x++)
                TRUE(out[z][y][x] == in[z][y][x]);
    TRUE(out[0][0][W - 1] == 0);
    EXPECT(1, cuMemcpy3DBatchAsync_v2(1, &there, 0, NULL));
    EXPECT(1, cuMemcpy3DBatchAsync_v2(1, &there, 1, stream));
    EXPECT(1, cuMemcpy3DBatchAsync_v2(0, &there, 0, stream));
    EXPECT(1, cuMemcpy3DBatchAsync_v2(1, NULL, 0, stream));
    CUoperation two[] = {there, across};
    two[1].extent[0] = W;
    EXPECT(1, cuMemcpy3DBatchAsync(2, two, &failed, 0, stream));
    TRUE(failed == 1);
    two[1] = across, two[1].extent[2] = 0;
    EXPECT(1, cuMemcpy3DBatchAsync_v2(2, two, 0, stream));
    two[1] = across, two[1].from.array.array = (CUarray)0x10;
    EXPECT(400, cuMemcpy3DBatchAsync_v2(2, two, 0, stream));
    two[1] = across, two[1].order = 0;
    EXPECT(1, cuMemcpy3DBatchAsync_v2(2, two, 0, stream));
    two[1] = there, two[1].from.pointer.row = W - 1;
    EXPECT(1, cuMemcpy3DBatchAsync_v2(2, two, 0, stream));
    MUST(cuArrayDestroy(array));
    MUST(cuArrayDestroy(other));
}

static void between_arrays(void) {
    CUarray3DDesc desc = {.width = 64, .format = 0x02, .channels = 1}, wide = {.width = 64, .format = 0x20, .channels = 1};
    CUarray one, other, third;
    unsigned short in[64], out[8] = {0};
    for (int i = 0; i < 64; i++)
        in[i] = (unsigned short)i;
    MUST(cuArray3DCreate_v2(&one, &desc));
    MUST(cuArray3DCreate_v2(&other, &desc));
    MUST(cuArray3DCreate_v2(&third, &wide));
    MUST(cuMemcpyHtoA_v2(one, 0, in, sizeof in));
    MUST(cuMemcpyAtoA_v2(other, 16, one, 32, 16));
    MUST(cuMemcpyAtoH_v2(out, other, 16, 16));
    TRUE(out[0] == 16 && out[7] == 23);
    EXPECT(1, cuMemcpyAtoA_v2(other, 16, one, 32, 15));
    EXPECT(1, cuMemcpyAtoA_v2(third, 16, one, 32, 16));
    EXPECT(1, cuMemcpyAtoA_v2(other, 120, one, 0, 16));
    EXPECT(400, cuMemcpyAtoA_v2(other, 0, (CUarray)0x20, 0, 16));
    MUST(cuArrayDestroy(one));
    EXPECT(400, cuMemcpyAtoA_v2(other, 0, one, 0, 16));
    MUST(cuArrayDestroy(other));
    MUST(cuArrayDestroy(third));
}

static int where(CUdeviceptr at) {
    int place = -7;
    MUST(cuMemRangeGetAttribute(&place, 4, 4, at, 1));
    return place;
}

static void prefetches(CUstream stream) {
    CUdeviceptr at[3], plain;
    size_t sizes[] = {4096, 4096, 4096}, first[] = {0, 1};
    CUlocation places[] = {{1, 0}, {2, 0}};
    for (int i = 0; i < 3; i++)
        MUST(cuMemAllocManaged(&at[i], 4096, 1));
    MUST(cuMemAlloc_v2(&plain, 4096));
    MUST(cuMemPrefetchBatchAsync(at, sizes, 3, (CUlocation[]){{1, 1}}, first, 1, 0, stream));
    TRUE(where(at[0]) == 1 && where(at[2]) == 1);
    MUST(cuMemPrefetchBatchAsync(at, sizes, 3, places, first, 2, 0, stream));
    TRUE(where(at[0]) == 0 && where(at[1]) == -1 && where(at[2]) == -1);
    MUST(cuMemDiscardBatchAsync(at, sizes, 3, 0, stream));
    MUST(cuMemDiscardAndPrefetchBatchAsync(at, sizes, 3, places, first, 1, 0, stream));
    TRUE(where(at[2]) == 0);
    EXPECT(1, cuMemPrefetchBatchAsync(at, sizes, 3, places, first, 2, 1, stream));
    EXPECT(1, cuMemPrefetchBatchAsync(at, sizes, 3, places, first, 2, 0, NULL));
    EXPECT(1, cuMemPrefetchBatchAsync(at, sizes, 0, places, first, 2, 0, stream));
    EXPECT(1, cuMemPrefetchBatchAsync(at, sizes, 3, places, first, 0, 0, stream));
    EXPECT(1, cuMemPrefetchBatchAsync(at, sizes, 3, NULL, first, 2, 0, stream));
    EXPECT(101, cuMemPrefetchBatchAsync(at, sizes, 3, (CUlocation[]){{1, 9}}, first, 1, 0, stream));
    EXPECT(1, cuMemDiscardBatchAsync(at, sizes, 3, 4, stream));
    EXPECT(1, cuMemDiscardBatchAsync(NULL, sizes, 3, 0, stream));
    MUST(cuMemFree_v2(at[1]));
    at[1] = plain;
    EXPECT(1, cuMemDiscardBatchAsync(at, sizes, 3, 0, stream));
    EXPECT(1, cuMemPrefetchBatchAsync(at, sizes, 3, places, first, 1, 0, stream));
    MUST(cuMemFree_v2(at[0]));
    MUST(cuMemFree_v2(at[2]));
    MUST(cuMemFree_v2(plain));
}

int main(void) {
    CUstream stream;
    CUcontext context = context_on(0);
    MUST(cuStreamCreate(&stream, 1));
    copies(stream);
    blocks(stream);
    between_arrays();
    prefetches(stream);
    MUST(cuCtxDestroy_v2(context));
    return 0;
}
