/* Memory shown by one process to another: who is charged, what remains when the owner dies first. */
#include "probe.h"
#include "nvml.h"

typedef struct { volatile int step; CUipcHandle handle; pid_t owner; } Shared;

static void owner(Shared *shared) {
    CUdeviceptr at = 0;
    start();
    must(cuMemAlloc_v2(&at, 64 * MIB));
    must(cuMemsetD32_v2(at, 99, 64));
    must(cuCtxSynchronize());
    shared->handle = (CUipcHandle){{0}};
    must(cuIpcGetMemHandle(&shared->handle, at));
    shared->step = 1;
    for (;;) pause();
}

static void tell(const char *when, NvmlDevice device, pid_t owner_pid) {
    char name[80];
    NvmlProcess2 list[16];
    NvmlMemory memory;
    unsigned count = 16;
    NvmlLong own = 0, others = 0;
    if (nvmlDeviceGetComputeRunningProcesses_v3(device, &count, list) == 0)
        for (unsigned index = 0; index < count; index++) {
            if (list[index].pid == (unsigned)getpid()) own = list[index].used;
            if (list[index].pid == (unsigned)owner_pid) others = list[index].used;
        }
    nvmlDeviceGetMemoryInfo(device, &memory);
    snprintf(name, sizeof name, "ipc.%s", when);
    say(name, "device_mib %llu importer %llu owner %llu", memory.used >> 20, own >> 20, others >> 20);
}

int main(void) {
    Shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CUdeviceptr at = 0, again = 0, base = 0;
    size_t size = 0;
    unsigned word = 0;
    pid_t pid = fork();
    if (pid == 0) owner(shared);
    while (shared->step != 1) usleep(500);
    NvmlDevice device = nvml_start();
    start();
    must(cuMemAlloc_v2(&again, 4096));
    tell("before_open", device, pid);
    code("ipc.open", cuIpcOpenMemHandle_v2(&at, shared->handle, 1));
    tell("opened", device, pid);
    code("ipc.open_again", cuIpcOpenMemHandle_v2(&again, shared->handle, 1));
    say("ipc.open_again_same", "%d", at == again);
    code("ipc.read", cuMemcpyDtoH_v2(&word, at, 4));
    say("ipc.read_value", "%u", word);
    code("ipc.range", cuMemGetAddressRange_v2(&base, &size, at));
    say("ipc.range_value", "%zu", size);
    code("ipc.free_it", cuMemFree_v2(at));
    code("ipc.export_on", cuIpcGetMemHandle(&(CUipcHandle){{0}}, at));
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    usleep(300000);
    tell("owner_dead", device, pid);
    word = 0;
    code("ipc.read_after_death", cuMemcpyDtoH_v2(&word, at, 4));
    say("ipc.read_after_death_value", "%u", word);
    code("ipc.open_after_death", cuIpcOpenMemHandle_v2(&base, shared->handle, 1));
    code("ipc.close", cuIpcCloseMemHandle(at));
    code("ipc.close_again", cuIpcCloseMemHandle(at));
    code("ipc.close_third", cuIpcCloseMemHandle(at));
    tell("closed", device, pid);
    code("context.at_end", cuCtxSynchronize());
    return 0;
}
