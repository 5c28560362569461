/* Multicast objects: `alone`, `orderly`, `maker_dies` or `user_dies`. Whoever lives on is the parent. */
#include "peers.h"

typedef struct {
    unsigned devices;
    size_t bytes;
    unsigned long long handle_types, flags;
} CUteamProp;
typedef struct {
    int type, handle_types;
    struct { int type, id; } location;
    void *security;
    unsigned char flags[8];
} CUallocProp;
typedef struct {
    struct { int type, id; } location;
    int flags;
} CUaccessDesc;
typedef uint64_t Object;

CUresult cuDeviceGetAttribute(int *, int, CUdevice);
CUresult cuMulticastCreate(Object *, const CUteamProp *);
CUresult cuMulticastAddDevice(Object, CUdevice);
CUresult cuMulticastBindMem(Object, size_t, Object, size_t, size_t, unsigned long long);
CUresult cuMulticastBindAddr(Object, size_t, CUdeviceptr, size_t, unsigned long long);
CUresult cuMulticastUnbind(Object, CUdevice, size_t, size_t);
CUresult cuMulticastGetGranularity(size_t *, const CUteamProp *, int);
CUresult cuMemCreate(Object *, size_t, const CUallocProp *, unsigned long long);
CUresult cuMemRelease(Object);
CUresult cuMemAddressReserve(CUdeviceptr *, size_t, size_t, CUdeviceptr, unsigned long long);
CUresult cuMemAddressFree(CUdeviceptr, size_t);
CUresult cuMemMap(CUdeviceptr, size_t, size_t, Object, unsigned long long);
CUresult cuMemUnmap(CUdeviceptr, size_t);
CUresult cuMemSetAccess(CUdeviceptr, size_t, const CUaccessDesc *, size_t);
CUresult cuMemExportToShareableHandle(void *, Object, int, unsigned long long);
CUresult cuMemImportFromShareableHandle(Object *, void *, int);

enum { SIZE = 8 << 20 };

static Object memory_of(int device) {
    CUallocProp props = {.type = 1, .handle_types = 1, .location = {1, device}};
    Object memory;
    MUST(cuMemCreate(&memory, SIZE, &props, 0));
    return memory;
}

static void alone(void) {
    CUteamProp props = {.devices = 2, .bytes = SIZE}, wrong;
    CUaccessDesc access = {{1, 0}, 3};
    Object team, stale;
    CUdeviceptr at, mapped;
    size_t bytes = 0;
    int can = 0;
    unsigned word = 7;
    context_on(0);
    MUST(cuDeviceGetAttribute(&can, 132, 0));
    TRUE(can == 1);
    MUST(cuMulticastGetGranularity(&bytes, &props, 0));
    TRUE(bytes == 2 << 20);
    MUST(cuMulticastGetGranularity(&bytes, &props, 1));
    EXPECT(1, cuMulticastGetGranularity(&bytes, &props, 2));
    EXPECT(1, cuMulticastGetGranularity(NULL, &props, 0));
    wrong = props, wrong.bytes = 1000;
    EXPECT(1, cuMulticastCreate(&team, &wrong));
    wrong = props, wrong.devices = 3;
    EXPECT(1, cuMulticastCreate(&team, &wrong));
    wrong = props, wrong.flags = 1;
    EXPECT(1, cuMulticastCreate(&team, &wrong));
    wrong = props, wrong.handle_types = 8;
    EXPECT(801, cuMulticastCreate(&team, &wrong));
    EXPECT(1, cuMulticastCreate(NULL, &props));
    EXPECT(1, cuMulticastCreate(&team, NULL));
    size_t before = free_bytes();
    MUST(cuMulticastCreate(&team, &props));
    TRUE(free_bytes() == before);
    MUST(cuMulticastAddDevice(team, 0));
    EXPECT(1, cuMulticastAddDevice(team, 0));
    EXPECT(101, cuMulticastAddDevice(team, 5));
    MUST(cuMulticastAddDevice(team, 1));
    Object first = memory_of(0), second = memory_of(1);
    EXPECT(1, cuMulticastAddDevice(first, 0));
    EXPECT(1, cuMulticastBindMem(team, 0, team, 0, SIZE, 0));
    EXPECT(1, cuMulticastBindMem(first, 0, first, 0, SIZE, 0));
    EXPECT(1, cuMulticastBindMem(team, 0, first, 0, 2 * SIZE, 0));
    EXPECT(1, cuMulticastBindMem(team, 1000, first, 0, 2 << 20, 0));
    EXPECT(1, cuMulticastBindMem(team, SIZE, first, 0, 2 << 20, 0));
    EXPECT(1, cuMulticastBindMem(team, 0, first, 0, SIZE, 1));
    MUST(cuMulticastBindMem(team, 0, first, 0, SIZE, 0));
    EXPECT(1, cuMulticastBindMem(team, 2 << 20, first, 0, 2 << 20, 0));
    MUST(cuMulticastBindMem(team, 0, second, 0, SIZE, 0));
    /* What is bound lives on without a handle, and can be had at an address as before. */
    MUST(cuMemRelease(first));
    TRUE(before - free_bytes() == SIZE);
    EXPECT(1, cuMulticastUnbind(team, 0, 2 << 20, 2 << 20));
    EXPECT(101, cuMulticastUnbind(team, 7, 0, SIZE));
    MUST(cuMulticastUnbind(team, 0, 0, SIZE));
    TRUE(free_bytes() == before);
    EXPECT(1, cuMulticastUnbind(team, 0, 0, SIZE));
    first = memory_of(0);
    MUST(cuMemAddressReserve(&at, 2 * SIZE, 0, 0, 0));
    MUST(cuMemMap(at, SIZE, 0, first, 0));
    MUST(cuMemSetAccess(at, SIZE, &access, 1));
    MUST(cuMulticastBindAddr(team, 0, at, SIZE, 0));
    EXPECT(1, cuMulticastBindAddr(team, 0, at + SIZE, SIZE, 0));
    /* The object itself can be mapped; nobody here can write to a team at once. */
    mapped = at + SIZE;
    MUST(cuMemMap(mapped, SIZE, 0, team, 0));
    MUST(cuMemSetAccess(mapped, SIZE, &access, 1));
    EXPECT(1, cuMemcpyHtoD_v2(mapped, &word, 4));
    MUST(cuMemcpyHtoD_v2(at, &word, 4));
    EXPECT(1, cuMulticastBindAddr(team, 0, mapped, SIZE, 0));
    MUST(cuMemUnmap(mapped, SIZE));
    MUST(cuMemRelease(team));
    EXPECT(1, cuMulticastAddDevice(team, 0));
    EXPECT(1, cuMemRelease(team));
    MUST(cuMemUnmap(at, SIZE));
    MUST(cuMemAddressFree(at, 2 * SIZE));
    MUST(cuMemRelease(first));
    MUST(cuMemRelease(second));
    TRUE(free_bytes() == before);
    stale = team;
    MUST(cuMulticastCreate(&team, &props));
    TRUE(team != stale);
    EXPECT(1, cuMemExportToShareableHandle(&can, team, 1, 0));
    MUST(cuMemRelease(team));
}

static void make(int dies, int survives) {
    CUteamProp props = {.devices = 2, .bytes = SIZE, .handle_types = 1};
    Object team;
    int descriptor = -1;
    context_on(0);
    MUST(cuMulticastCreate(&team, &props));
    MUST(cuMulticastAddDevice(team, 0));
    MUST(cuMemExportToShareableHandle(&descriptor, team, 1, 0));
    tell("x", 1, descriptor);
    Object memory = memory_of(0);
    /* Comes back when the other one has added its device. */
    MUST(cuMulticastBindMem(team, 0, memory, 0, SIZE, 0));
    MUST(cuMemRelease(memory));
    wait_for_peer();
    if (dies) {
        go_on();
        pause();
    }
    if (survives)
        kill_child();
    else {
        peer_cannot_be_suspended();
        go_on();
    }
    size_t before = free_bytes();
    MUST(cuMemRelease(team));
    TRUE(free_bytes() - before == SIZE);
}

static void use(int dies, int survives) {
    Object team;
    char word;
    int descriptor = hear(&word, 1);
    context_on(1);
    MUST(cuMemImportFromShareableHandle(&team, (void *)(intptr_t)descriptor, 1));
    EXPECT(1, cuMulticastAddDevice(team, 0));
    MUST(cuMulticastAddDevice(team, 1));
    Object memory = memory_of(1), other = memory_of(0);
    MUST(cuMulticastBindMem(team, 0, memory, 0, SIZE, 0));
    MUST(cuMemRelease(other));
    go_on();
    if (dies)
        pause();
    wait_for_peer();
    if (survives)
        kill_child();
    /* The team is what it was, whoever has it open. */
    EXPECT(1, cuMulticastAddDevice(team, 1));
    MUST(cuMulticastUnbind(team, 1, 0, SIZE));
    MUST(cuMulticastBindMem(team, 0, memory, 0, SIZE, 0));
    size_t before = free_bytes();
    MUST(cuMemRelease(memory));
    TRUE(free_bytes() == before);
    MUST(cuMemRelease(team));
    TRUE(free_bytes() - before == SIZE);
}

int main(int count, char **words) {
    TRUE(count == 2);
    if (strcmp(words[1], "alone") == 0) {
        alone();
        return 0;
    }
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
