/* A pool that two processes share: `orderly`, `maker_dies` or `user_dies`. The one that lives on is the parent. */
#include "peers.h"

typedef struct CUmemPoolHandle_st *CUmemoryPool;
typedef struct {
    int type, handle_types;
    struct { int type, id; } location;
    void *security;
    size_t max_size;
    unsigned short usage;
    unsigned char reserved[54];
} CUpoolProps;
typedef struct {
    unsigned char bytes[64];
} CUpointerData;

CUresult cuMemPoolCreate(CUmemoryPool *, const CUpoolProps *);
CUresult cuMemPoolDestroy(CUmemoryPool);
CUresult cuMemPoolTrimTo(CUmemoryPool, size_t);
CUresult cuMemPoolGetAttribute(CUmemoryPool, int, void *);
CUresult cuMemAllocFromPoolAsync(CUdeviceptr *, size_t, CUmemoryPool, CUstream);
CUresult cuDeviceSetMemPool(CUdevice, CUmemoryPool);
CUresult cuDeviceGetDefaultMemPool(CUmemoryPool *, CUdevice);
CUresult cuMemPoolExportToShareableHandle(void *, CUmemoryPool, int, unsigned long long);
CUresult cuMemPoolImportFromShareableHandle(CUmemoryPool *, void *, int, unsigned long long);
CUresult cuMemPoolExportPointer(CUpointerData *, CUdeviceptr);
CUresult cuMemPoolImportPointer(CUdeviceptr *, CUmemoryPool, CUpointerData *);
CUresult cuMemImportFromShareableHandle(uint64_t *, void *, int);

enum { SMALL = 1000, LARGE = 40 << 20 };

/* What is told: where two allocations are. */
typedef struct {
    CUpointerData small, large;
} Shown;

static uint64_t attribute(CUmemoryPool pool, int number) {
    uint64_t value = 0;
    MUST(cuMemPoolGetAttribute(pool, number, &value));
    return value;
}

static unsigned word_at(CUdeviceptr at) {
    unsigned word = 0;
    MUST(cuMemcpyDtoH_v2(&word, at, 4));
    return word;
}

/* What the maker refuses. */
static void misuse_by_the_maker(CUmemoryPool pool, CUdeviceptr at) {
    CUmemoryPool plain = NULL, again = NULL;
    CUdeviceptr other = 0;
    CUpointerData data;
    int descriptor = -1;
    CUpoolProps props = {.type = 1, .handle_types = 8, .location = {1, 0}};
    EXPECT(801, cuMemPoolCreate(&again, &props));
    EXPECT(1, cuMemPoolExportToShareableHandle(NULL, pool, 1, 0));
    EXPECT(1, cuMemPoolExportToShareableHandle(&descriptor, pool, 1, 7));
    EXPECT(1, cuMemPoolExportToShareableHandle(&descriptor, pool, 2, 0));
    EXPECT(1, cuMemPoolExportToShareableHandle(&descriptor, (CUmemoryPool)0x10, 1, 0));
    EXPECT(1, cuMemPoolExportPointer(NULL, at));
    EXPECT(1, cuMemPoolExportPointer(&data, 0));
    MUST(cuMemAlloc_v2(&other, MIB));
    EXPECT(1, cuMemPoolExportPointer(&data, other));
    MUST(cuMemFree_v2(other));
    MUST(cuDeviceGetDefaultMemPool(&plain, 0));
    EXPECT(1, cuMemPoolExportToShareableHandle(&descriptor, plain, 1, 0));
    MUST(cuMemAllocAsync(&other, MIB, NULL));
    EXPECT(1, cuMemPoolExportPointer(&data, other));
    MUST(cuMemFreeAsync(other, NULL));
    MUST(cuCtxSynchronize());
    TRUE(descriptor == -1);
}

static void make(int dies, int survives) {
    CUpoolProps props = {.type = 1, .handle_types = 1, .location = {1, 0}};
    CUdeviceptr small = 0, large = 0;
    CUmemoryPool pool = NULL;
    Shown shown;
    int descriptor = -1;
    context_on(0);
    size_t before = free_bytes();
    MUST(cuMemPoolCreate(&pool, &props));
    TRUE(free_bytes() == before);
    MUST(cuMemAllocFromPoolAsync(&small, SMALL, pool, NULL));
    MUST(cuMemsetD32Async(small, 11, SMALL / 4, NULL));
    MUST(cuCtxSynchronize());
    misuse_by_the_maker(pool, small);
    MUST(cuMemPoolExportToShareableHandle(&descriptor, pool, 1, 0));
    /* It grows after it was shown, and what is freed stays reserved. */
    MUST(cuMemAllocFromPoolAsync(&large, LARGE, pool, NULL));
    MUST(cuMemsetD32Async(large, 22, LARGE / 4, NULL));
    MUST(cuCtxSynchronize());
    TRUE(before - free_bytes() == 64 * MIB && attribute(pool, 5) == 64 * MIB);
    MUST(cuMemPoolExportPointer(&shown.small, small));
    MUST(cuMemPoolExportPointer(&shown.large, large));
    tell(&shown, sizeof shown, descriptor);
    close(descriptor);
    wait_for_peer();
    TRUE(word_at(small) == 33 && word_at(large + LARGE - 4) == 44);
    peer_cannot_be_suspended();
    go_on();
    if (dies)
        pause();
    wait_for_peer();
    if (survives)
        kill_child();
    TRUE(before - free_bytes() >= 64 * MIB);
    MUST(cuMemFreeAsync(large, NULL));
    MUST(cuMemFree_v2(small));
    MUST(cuCtxSynchronize());
    MUST(cuMemPoolTrimTo(pool, 0));
    TRUE(attribute(pool, 7) == 0 && attribute(pool, 5) == 64 * MIB);
    MUST(cuMemPoolDestroy(pool));
    EXPECT(1, cuMemPoolExportToShareableHandle(&descriptor, pool, 1, 0));
    TRUE(!survives || free_bytes() == before);
}

/* What the user refuses. */
static void misuse_by_the_user(CUmemoryPool pool, CUmemoryPool own, Shown *shown, int descriptor) {
    CUmemoryPool other = NULL;
    CUdeviceptr at = 0;
    CUpointerData zeros = {{0}}, data;
    uint64_t physical = 0;
    int pipes[2];
    TRUE(pipe(pipes) == 0);
    EXPECT(1, cuMemPoolImportFromShareableHandle(NULL, (void *)(intptr_t)descriptor, 1, 0));
    EXPECT(1, cuMemPoolImportFromShareableHandle(&other, (void *)(intptr_t)descriptor, 1, 1));
    EXPECT(1, cuMemPoolImportFromShareableHandle(&other, (void *)(intptr_t)descriptor, 8, 0));
    EXPECT(1, cuMemPoolImportFromShareableHandle(&other, (void *)(intptr_t)pipes[0], 1, 0));
    EXPECT(1, cuMemPoolImportFromShareableHandle(&other, (void *)(intptr_t)987, 1, 0));
    EXPECT(1, cuMemImportFromShareableHandle(&physical, (void *)(intptr_t)descriptor, 1));
    EXPECT(1, cuMemAllocFromPoolAsync(&at, MIB, pool, NULL));
    EXPECT(1, cuDeviceSetMemPool(0, pool));
    EXPECT(1, cuMemPoolImportPointer(NULL, pool, &shown->small));
    EXPECT(1, cuMemPoolImportPointer(&at, pool, NULL));
    EXPECT(1, cuMemPoolImportPointer(&at, pool, &zeros));
    EXPECT(1, cuMemPoolImportPointer(&at, own, &shown->small));
    EXPECT(1, cuMemPoolExportToShareableHandle(&pipes[0], pool, 1, 0));
    MUST(cuMemPoolImportPointer(&at, pool, &shown->small));
    EXPECT(1, cuMemPoolExportPointer(&data, at));
    MUST(cuMemFree_v2(at));
    EXPECT(1, cuMemFree_v2(at));
}

static void use(int dies, int survives) {
    CUpoolProps props = {.type = 1, .handle_types = 1, .location = {1, 0}};
    CUmemoryPool pool = NULL, own = NULL;
    CUdeviceptr small = 0, large = 0, again = 0;
    Shown shown;
    unsigned word = 33;
    int descriptor = hear(&shown, sizeof shown);
    TRUE(descriptor >= 0);
    context_on(0);
    size_t before = free_bytes();
    MUST(cuMemPoolImportFromShareableHandle(&pool, (void *)(intptr_t)descriptor, 1, 0));
    MUST(cuMemPoolCreate(&own, &props));
    misuse_by_the_user(pool, own, &shown, descriptor);
    MUST(cuMemPoolDestroy(own));
    close(descriptor);
    TRUE(attribute(pool, 7) == 0 && attribute(pool, 5) == 0);
    MUST(cuMemPoolImportPointer(&small, pool, &shown.small));
    MUST(cuMemPoolImportPointer(&large, pool, &shown.large));
    MUST(cuMemPoolImportPointer(&again, pool, &shown.large));
    TRUE(again == large && attribute(pool, 7) == SMALL + LARGE && attribute(pool, 5) == 64 * MIB);
    TRUE(free_bytes() == before);
    TRUE(word_at(small) == 11 && word_at(large) == 22 && word_at(large + LARGE - 4) == 22);
    MUST(cuMemcpyHtoD_v2(small, &word, 4));
    word = 44;
    MUST(cuMemcpyHtoD_v2(large + LARGE - 4, &word, 4));
    go_on();
    wait_for_peer();
    peer_cannot_be_suspended();
    if (dies) {
        go_on();
        pause();
    }
    if (survives) {
        /* The maker dies with its context; the pool stays, paid for by who is left. */
        kill_child();
        size_t left = free_bytes();
        TRUE(left > before);
        TRUE(word_at(small) == 33 && word_at(large + LARGE - 4) == 44);
        MUST(cuMemFreeAsync(large, NULL));
        MUST(cuMemFree_v2(small));
        MUST(cuCtxSynchronize());
        TRUE(free_bytes() == left);
        MUST(cuMemPoolDestroy(pool));
        TRUE(free_bytes() - left == 64 * MIB);
        return;
    }
    MUST(cuMemFreeAsync(large, NULL));
    MUST(cuMemPoolDestroy(pool));
    EXPECT(1, cuMemPoolImportPointer(&again, pool, &shown.large));
    TRUE(word_at(small) == 33);
    MUST(cuMemFree_v2(small));
    MUST(cuCtxSynchronize());
    TRUE(free_bytes() == before);
    go_on();
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
