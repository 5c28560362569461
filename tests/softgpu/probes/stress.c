/* One racer of many: `stress SEED OPERATIONS [SCALE]` makes random allocations of all families, copies and launches, checks
 * what it reads back, and holds a known amount at the end. Prints `ready` and waits for a line before it begins, prints
 * `held BYTES` and waits for a line before it ends. With a line `leave` it ends without giving anything back, as a program that crashes does. */
#include "probe.h"

enum { HELD_MAX = 24 };
typedef enum { NOTHING, PLAIN, POOL, BY_HAND, ARRAY, STREAM } Kind;
typedef struct {
    Kind kind;
    CUdeviceptr at;
    size_t bytes;
    CUmemHandle handle;
    void *object;
    unsigned mark;
} Held;

static Held held[HELD_MAX];
static uint64_t state;
static unsigned long refused, made;
static size_t scale = 1;
static CUfunction fill;

static unsigned dice(unsigned sides) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return (unsigned)(state >> 32) % sides;
}

static void fail(const char *what, int got) {
    printf("failed %s %d\n", what, got);
    exit(2);
}

/* Success, or a refusal for want of memory; anything else ends the race. */
static int allowed(const char *what, CUresult result) {
    if (result == 0) return 1;
    if (result != 2) fail(what, result);
    refused++;
    return 0;
}

static void sure(const char *what, CUresult result) {
    if (result) fail(what, result);
}

static void mark(Held *one) {
    one->mark = dice(1u << 30);
    uint64_t words = 64;
    void *arguments[] = {&one->at, &one->mark, &words};
    if (dice(2)) sure("set", cuMemsetD32_v2(one->at, one->mark, 64));
    else sure("launch", cuLaunchKernel(fill, 1, 1, 1, 32, 1, 1, 0, NULL, arguments, NULL));
}

static void take(Held *one) {
    static const CUallocProp props = {.type = 1, .location = {1, 0}};
    static const CUaccessDesc access = {.location = {1, 0}, .flags = 3};
    CUarrayDesc desc = {64 + dice(512), 64 + dice(512), 0x20, 1};
    one->kind = NOTHING;
    one->bytes = dice(8) ? 1024 + dice(3 << 20) : (size_t)(1 + dice(64)) << 20;
    one->bytes *= scale;
    made++;
    switch (dice(6)) {
    case 0:
    case 1:
        if (allowed("alloc", cuMemAlloc_v2(&one->at, one->bytes))) one->kind = PLAIN, mark(one);
        break;
    case 2:
        if (allowed("alloc_async", cuMemAllocAsync(&one->at, one->bytes, NULL))) one->kind = POOL, mark(one);
        break;
    case 3:
        one->bytes = (1 + dice(8)) * 2 * MIB * scale;
        if (!allowed("create", cuMemCreate(&one->handle, one->bytes, &props, 0))) break;
        sure("reserve", cuMemAddressReserve(&one->at, one->bytes, 0, 0, 0));
        sure("map", cuMemMap(one->at, one->bytes, 0, one->handle, 0));
        sure("access", cuMemSetAccess(one->at, one->bytes, &access, 1));
        one->kind = BY_HAND, mark(one);
        break;
    case 4:
        if (allowed("array", cuArrayCreate_v2((CUarray *)&one->object, &desc))) one->kind = ARRAY;
        break;
    default: sure("stream", cuStreamCreate((CUstream *)&one->object, 1)), one->kind = STREAM;
    }
}

static void give(Held *one) {
    if (one->kind == PLAIN || one->kind == POOL || one->kind == BY_HAND) {
        unsigned back[64];
        sure("read", cuMemcpyDtoH_v2(back, one->at, sizeof back));
        for (int index = 0; index < 64; index++) if (back[index] != one->mark) fail("content", index);
    }
    switch (one->kind) {
    case PLAIN: sure("free", cuMemFree_v2(one->at)); break;
    case POOL: sure("free_async", cuMemFreeAsync(one->at, NULL)); break;
    case BY_HAND:
        if (dice(2)) sure("release", cuMemRelease(one->handle)), sure("unmap", cuMemUnmap(one->at, one->bytes));
        else sure("unmap", cuMemUnmap(one->at, one->bytes)), sure("release", cuMemRelease(one->handle));
        sure("address_free", cuMemAddressFree(one->at, one->bytes));
        break;
    case ARRAY: sure("array_destroy", cuArrayDestroy(one->object)); break;
    case STREAM: sure("stream_destroy", cuStreamDestroy_v2(one->object)); break;
    case NOTHING: break;
    }
    one->kind = NOTHING;
}

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    state = strtoull(argv[1], NULL, 10) * 2654435761u + 88172645463325252ull;
    long operations = atol(argv[2]);
    if (argc > 3) scale = (size_t)atol(argv[3]);
    char line[64] = "";
    start();
    fill = kernel("fill");
    /* Streams take memory that stays with the context: take as much as there will ever be. */
    CUstream streams[HELD_MAX];
    for (int index = 0; index < HELD_MAX; index++) sure("stream", cuStreamCreate(&streams[index], 1));
    for (int index = 0; index < HELD_MAX; index++) sure("stream_destroy", cuStreamDestroy_v2(streams[index]));
    puts("ready"), fflush(stdout);
    if (!fgets(line, sizeof line, stdin)) return 1;
    for (long turn = 0; turn < operations; turn++) {
        Held *one = &held[dice(HELD_MAX)];
        if (one->kind == NOTHING) take(one);
        else give(one);
        if (dice(64) == 0) sure("synchronize", cuStreamSynchronize(NULL));
    }
    size_t bytes = 0;
    for (int index = 0; index < HELD_MAX; index++) {
        if (held[index].kind == BY_HAND) bytes += held[index].bytes;
        else give(&held[index]);
    }
    sure("synchronize", cuCtxSynchronize());
    say("made", "%lu refused %lu", made, refused);
    say("held", "%zu", bytes);
    if (!fgets(line, sizeof line, stdin) || strncmp(line, "leave", 5) == 0) _exit(0);
    for (int index = 0; index < HELD_MAX; index++) give(&held[index]);
    sure("last", cuCtxSynchronize());
    sure("reset", cuDevicePrimaryCtxReset_v2(0));
    say("ended", "1");
    return 0;
}
