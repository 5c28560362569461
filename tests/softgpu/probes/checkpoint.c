/* Suspending a process from outside: states, codes, what memory does, what is refused. */
#include "probe.h"
#include "nvml.h"

typedef struct { volatile int step, answer, value; CUipcHandle handle; } Shared;

enum { PLAIN, MANAGED, IPC, BY_HAND, POOL, SHOWN, SEEN, BUSY, STRANGER };

/* The process that is suspended: holds 256 MiB of `kind` and says whether its content survived. */
static void tenant(Shared *shared, int kind) {
    CUdeviceptr at = 0;
    CUmemHandle handle = 0;
    CUallocProp props = {.type = 1, .location = {1, 0}};
    CUaccessDesc access = {.location = {1, 0}, .flags = 3};
    start();
    if (kind == MANAGED) must(cuMemAllocManaged(&at, 256 * MIB, 1));
    else if (kind == BY_HAND) {
        must(cuMemAddressReserve(&at, 256 * MIB, 0, 0, 0));
        must(cuMemCreate(&handle, 256 * MIB, &props, 0));
        must(cuMemMap(at, 256 * MIB, 0, handle, 0));
        must(cuMemSetAccess(at, 256 * MIB, &access, 1));
    } else if (kind == POOL) must(cuMemAllocAsync(&at, 256 * MIB, NULL));
    else must(cuMemAlloc_v2(&at, 256 * MIB));
    if (kind == IPC || kind == SHOWN) must(cuIpcGetMemHandle(&shared->handle, at));
    if (kind == SEEN) must(cuIpcOpenMemHandle_v2(&(CUdeviceptr){0}, shared->handle, 1));
    must(cuMemsetD32_v2(at, 4711, 1024));
    must(cuCtxSynchronize());
    shared->step = 1;
    for (;;) {
        while (shared->step != 2) usleep(200);
        unsigned word = 0;
        CUresult result = cuMemcpyDtoH_v2(&word, at, 4);
        shared->answer = (int)result, shared->value = (int)word;
        shared->step = 3;
    }
}

static int state(int pid) {
    int value = -1;
    CUresult result = cuCheckpointProcessGetState(pid, &value);
    return result ? -(int)result : value;
}

static void tell(const char *word, const char *when, int pid, NvmlDevice device) {
    char name[80], line[128];
    NvmlProcess2 list[16];
    unsigned count = 16;
    NvmlLong used = 0;
    NvmlMemory memory;
    if (nvmlDeviceGetComputeRunningProcesses_v3(device, &count, list) == 0)
        for (unsigned index = 0; index < count; index++) if (list[index].pid == (unsigned)pid) used = list[index].used;
    nvmlDeviceGetMemoryInfo(device, &memory);
    snprintf(name, sizeof name, "checkpoint.%s.%s.state", word, when), say(name, "%d", state(pid));
    snprintf(name, sizeof name, "checkpoint.%s.%s.device_mib", word, when), say(name, "%llu process %llu", memory.used >> 20, used >> 20);
    snprintf(line, sizeof line, "grep VmRSS /proc/%d/status", pid);
    FILE *pipe = popen(line, "r");
    if (pipe && fgets(line, sizeof line, pipe)) {
        snprintf(name, sizeof name, "time.%s.%s.host_mib", word, when), say(name, "%ld", atol(line + 6) >> 10);
    }
    if (pipe) pclose(pipe);
}

static void cycle(const char *word, pid_t pid, Shared *shared, NvmlDevice device) {
    char name[80];
    CUlockArgs lock = {.timeout_ms = 3000};
#define step(what, call)                                                                                               \
    do {                                                                                                               \
        uint64_t began = now_ns();                                                                                     \
        CUresult result = (call);                                                                                      \
        uint64_t took = now_ns() - began;                                                                              \
        snprintf(name, sizeof name, "checkpoint.%s.%s", word, what), say(name, "%d", result);                          \
        snprintf(name, sizeof name, "time.%s.%s_ms", word, what), say(name, "%.1f", (double)took / 1e6);               \
        tell(word, what, pid, device);                                                                                 \
    } while (0)
    tell(word, "running", pid, device);
    step("unlock_while_running", cuCheckpointProcessUnlock(pid, NULL));
    step("checkpoint_while_running", cuCheckpointProcessCheckpoint(pid, NULL));
    step("restore_while_running", cuCheckpointProcessRestore(pid, NULL));
    step("lock", cuCheckpointProcessLock(pid, &lock));
    step("lock_twice", cuCheckpointProcessLock(pid, &lock));
    step("unlock", cuCheckpointProcessUnlock(pid, NULL));
    step("lock_again", cuCheckpointProcessLock(pid, &lock));
    step("checkpoint", cuCheckpointProcessCheckpoint(pid, NULL));
    step("checkpoint_twice", cuCheckpointProcessCheckpoint(pid, NULL));
    step("unlock_checkpointed", cuCheckpointProcessUnlock(pid, NULL));
    shared->step = 2;
    usleep(200000);
    snprintf(name, sizeof name, "checkpoint.%s.call_blocks", word), say(name, "%d", shared->step == 2);
    int thread = -1;
    CUresult result = cuCheckpointProcessGetRestoreThreadId(pid, &thread);
    snprintf(name, sizeof name, "checkpoint.%s.restore_thread", word), say(name, "%d %d", result, thread > 0);
    step("restore", cuCheckpointProcessRestore(pid, NULL));
    step("restore_twice", cuCheckpointProcessRestore(pid, NULL));
    step("unlock_after_restore", cuCheckpointProcessUnlock(pid, NULL));
    for (int wait = 0; shared->step != 3 && wait < 2000; wait++) usleep(1000);
    snprintf(name, sizeof name, "checkpoint.%s.content", word), say(name, "%d %d %d", shared->step == 3, shared->answer, shared->value);
#undef step
}

/* Lock must give up in time when the process cannot stop: it has a long kernel running. */
static void busy_tenant(Shared *shared) {
    start();
    CUfunction busy = kernel("busy");
    must(launch1(busy, 1, NULL));
    must(cuCtxSynchronize());
    must(launch1(busy, 3000000, NULL));
    shared->step = 1;
    for (;;) {
        must(cuCtxSynchronize());
        usleep(1000);
    }
}

static void busy_cycle(pid_t pid) {
    CUlockArgs lock = {.timeout_ms = 500};
    uint64_t began = now_ns();
    code("checkpoint.busy.lock_500_ms", cuCheckpointProcessLock(pid, &lock));
    say("time.busy.lock_ms", "%.1f", (double)(now_ns() - began) / 1e6);
    say("checkpoint.busy.state", "%d", state(pid));
    began = now_ns();
    code("checkpoint.busy.checkpoint", cuCheckpointProcessCheckpoint(pid, NULL));
    say("time.busy.checkpoint_ms", "%.1f", (double)(now_ns() - began) / 1e6);
    say("checkpoint.busy.state_after", "%d", state(pid));
}

static void strangers(pid_t idle) {
    CUlockArgs dirty = {.timeout_ms = 100, .reserved0 = 1};
    code("checkpoint.no_process", cuCheckpointProcessLock(999999, NULL));
    code("checkpoint.without_cuda", cuCheckpointProcessLock(idle, NULL));
    say("checkpoint.without_cuda_state", "%d", state(idle));
    say("checkpoint.no_process_state", "%d", state(999999));
    code("checkpoint.state_null", cuCheckpointProcessGetState(idle, NULL));
    code("checkpoint.dirty_arguments", cuCheckpointProcessLock(idle, &dirty));
    say("checkpoint.own_state", "%d", state(getpid()));
}

/* Holds memory that the tenant shows (or shows memory that the tenant holds) for as long as it lives. */
static void peer(Shared *shared, int kind) {
    CUdeviceptr at = 0;
    start();
    if (kind == SHOWN) must(cuIpcOpenMemHandle_v2(&at, shared->handle, 1));
    else {
        must(cuMemAlloc_v2(&at, 64 * MIB));
        must(cuIpcGetMemHandle(&shared->handle, at));
    }
    shared->answer = 1;
    for (;;) pause();
}

/* Tenant and operator are both children: a process forked from one that uses the driver could not use it. */
static void one(const char *word, int kind) {
    Shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t other = 0;
    if (kind == SEEN && (other = fork()) == 0) peer(shared, kind);
    while (kind == SEEN && !shared->answer) usleep(1000);
    pid_t pid = fork();
    if (pid == 0) {
        if (kind == STRANGER) for (;;) pause();
        if (kind == BUSY) busy_tenant(shared);
        tenant(shared, kind);
    }
    while (kind != STRANGER && shared->step != 1 && waitpid(pid, NULL, WNOHANG) == 0) usleep(1000);
    if (kind == SHOWN && (other = fork()) == 0) peer(shared, kind);
    while (kind == SHOWN && !shared->answer) usleep(1000);
    pid_t operator= fork();
    if (operator== 0) {
        NvmlDevice device = nvml_start();
        driver_load();
        must(cuInit(0));
        if (kind == STRANGER) strangers(pid);
        else if (kind == BUSY) busy_cycle(pid);
        else cycle(word, pid, shared, device);
        exit(0);
    }
    waitpid(operator, NULL, 0);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    if (other) kill(other, SIGKILL), waitpid(other, NULL, 0);
}

int main(int argc, char **argv) {
    static const struct { const char *word; int kind; } CASES[] = {{"stranger", STRANGER}, {"plain", PLAIN}, {"by_hand", BY_HAND},
        {"pool", POOL}, {"managed", MANAGED}, {"ipc", IPC},
        {"shown", SHOWN}, {"seen", SEEN}, {"busy", BUSY}};
    for (size_t index = 0; index < sizeof CASES / sizeof *CASES; index++)
        if (argc < 2 || !strcmp(argv[1], CASES[index].word)) one(CASES[index].word, CASES[index].kind);
    return 0;
}
