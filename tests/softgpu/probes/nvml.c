/* What NVML says of an idle device 0 and of the processes on it; and which codes misuse answers. */
#include "probe.h"
#include "nvml.h"

static NvmlDevice device;

/* Everything that fills one word, by name. */
static const char *const WORDS[] = {
    "nvmlDeviceGetIndex", "nvmlDeviceGetBrand", "nvmlDeviceGetMinorNumber", "nvmlDeviceGetMultiGpuBoard", "nvmlDeviceGetDisplayMode",
    "nvmlDeviceGetDisplayActive", "nvmlDeviceGetPersistenceMode", "nvmlDeviceGetComputeMode", "nvmlDeviceGetPerformanceState",
    "nvmlDeviceGetPowerState", "nvmlDeviceGetPowerManagementMode", "nvmlDeviceGetPowerManagementLimit",
    "nvmlDeviceGetPowerManagementDefaultLimit", "nvmlDeviceGetEnforcedPowerLimit", "nvmlDeviceGetMaxPcieLinkGeneration",
    "nvmlDeviceGetMaxPcieLinkWidth", "nvmlDeviceGetCurrPcieLinkGeneration", "nvmlDeviceGetCurrPcieLinkWidth",
    "nvmlDeviceGetGpuMaxPcieLinkGeneration", "nvmlDeviceGetPcieReplayCounter", "nvmlDeviceGetPcieSpeed", "nvmlDeviceGetPcieLinkMaxSpeed",
    "nvmlDeviceGetNumFans", "nvmlDeviceGetFanSpeed", "nvmlDeviceGetInforomConfigurationChecksum", "nvmlDeviceGetBoardId",
    "nvmlDeviceGetNumGpuCores", "nvmlDeviceGetMemoryBusWidth", "nvmlDeviceGetArchitecture", "nvmlDeviceGetIrqNum",
    "nvmlDeviceGetAccountingMode", "nvmlDeviceGetAccountingBufferSize", "nvmlDeviceGetMaxMigDeviceCount", "nvmlDeviceIsMigDeviceHandle",
    "nvmlDeviceGetVirtualizationMode", "nvmlDeviceGetHostVgpuMode", "nvmlDeviceGetBusType", "nvmlDeviceGetAdaptiveClockInfoStatus",
    "nvmlDeviceGetRetiredPagesPendingStatus", "nvmlDeviceGetModuleId",
    "nvmlDeviceGetPowerSource", "nvmlDeviceGetNumaNodeId",
};

static const char *const TEXTS[] = {
    "nvmlDeviceGetName", "nvmlDeviceGetUUID", "nvmlDeviceGetSerial", "nvmlDeviceGetVbiosVersion",
    "nvmlDeviceGetBoardPartNumber",
};

static void words(void) {
    for (size_t index = 0; index < sizeof WORDS / sizeof *WORDS; index++) {
        int (*ask)(NvmlDevice, unsigned *) = (int (*)(NvmlDevice, unsigned *))dlsym(nvml_library, WORDS[index]);
        unsigned value[4] = {777777, 777777, 777777, 777777};
        if (!ask) say(WORDS[index], "missing");
        else {
            int result = ask(device, value);
            if (result) say(WORDS[index], "answers %d", result);
            else say(WORDS[index], "%u", value[0]);
        }
    }
    for (size_t index = 0; index < sizeof TEXTS / sizeof *TEXTS; index++) {
        int (*ask)(NvmlDevice, char *, unsigned) = (int (*)(NvmlDevice, char *, unsigned))dlsym(nvml_library, TEXTS[index]);
        char text[128] = "", name[96];
        int result = ask ? ask(device, text, 96) : -1;
        if (result) say(TEXTS[index], "answers %d", result);
        else say(TEXTS[index], "%s", text);
        snprintf(name, sizeof name, "%s.short", TEXTS[index]);
        say(name, "%d", ask ? ask(device, text, 2) : -1);
    }
}

static void tables(void) {
    char name[64];
    unsigned word = 0, more = 0;
    int one = 0, two = 0, result = 0;
    NvmlLong huge = 0;
    for (int id = 0; id < 9; id++) {
        result = nvmlDeviceGetTemperatureThreshold(device, id, &word);
        snprintf(name, sizeof name, "threshold.%d", id), say(name, "%d %u", result, result ? 0 : word);
    }
    for (int id = 0; id < 5; id++) {
        result = nvmlDeviceGetMaxClockInfo(device, id, &word);
        snprintf(name, sizeof name, "clock.max.%d", id), say(name, "%d %u", result, result ? 0 : word);
        result = nvmlDeviceGetClockInfo(device, id, &word);
        snprintf(name, sizeof name, "time.clock.%d", id), say(name, "%d %u", result, result ? 0 : word);
    }
    result = nvmlDeviceGetEccMode(device, &one, &two);
    say("ecc", "%d %d %d", result, one, two);
    result = nvmlDeviceGetMigMode(device, &word, &more);
    say("mig", "%d %u %u", result, result ? 0 : word, result ? 0 : more);
    for (int id = 0; id < 4; id++) {
        result = nvmlDeviceGetTotalEccErrors(device, id & 1, id >> 1, &huge);
        snprintf(name, sizeof name, "ecc.total.%d", id), say(name, "%d %llu", result, result ? 0 : huge);
        unsigned count = 0;
        result = nvmlDeviceGetRetiredPages(device, id & 1, &count, NULL);
        snprintf(name, sizeof name, "retired.%d", id & 1), say(name, "%d %u", result, count);
    }
    unsigned rows[4] = {0};
    result = nvmlDeviceGetRemappedRows(device, &rows[0], &rows[1], &rows[2], &rows[3]);
    say("remapped", "%d %u %u %u %u", result, rows[0], rows[1], rows[2], rows[3]);
    result = nvmlDeviceGetPowerManagementLimitConstraints(device, &word, &more);
    say("power.limits", "%d %u %u", result, word, more);
    result = nvmlDeviceGetCudaComputeCapability(device, &one, &two);
    say("capability", "%d %d %d", result, one, two);
    result = nvmlDeviceGetTopologyCommonAncestor(device, device, &one);
    say("topology.with_itself", "%d %d", result, one);
    result = nvmlDeviceGetP2PStatus(device, device, 0, &one);
    say("peer.with_itself", "%d %d", result, one);
    for (unsigned link = 0; link < 19; link++) {
        result = nvmlDeviceGetNvLinkState(device, link, &one);
        snprintf(name, sizeof name, "nvlink.%u", link), say(name, "%d %d", result, result ? 0 : one);
    }
    result = nvmlDeviceGetNvLinkVersion(device, 0, &word);
    say("nvlink.version", "%d %u", result, result ? 0 : word);
    result = nvmlDeviceGetSupportedClocksEventReasons(device, &huge);
    say("reasons.supported", "%d %llx", result, huge);
    result = nvmlDeviceGetCurrentClocksEventReasons(device, &huge);
    say("reasons.now", "%d %llx", result, huge);
    result = nvmlDeviceGetSupportedEventTypes(device, &huge);
    say("events.supported", "%d %llx", result, huge);
    NvmlPci pci;
    memset(&pci, 0, sizeof pci);
    result = nvmlDeviceGetPciInfo_v3(device, &pci);
    say("pci.id", "%d %x %x", result, pci.pci_id, pci.subsystem_id);
    say("pci.bus", "%s %s", pci.legacy, pci.bus_id);
    for (unsigned id = 1; id < 320; id++) {
        NvmlField field = {.field = id, .result = -1};
        result = nvmlDeviceGetFieldValues(device, 1, &field);
        snprintf(name, sizeof name, "field.%u", id);
        if (result || field.result) say(name, "%d answers %d", result, field.result);
        else say(name, "type %u value %llu", field.type, field.value.huge);
    }
}

static void memory_and_processes(const char *when) {
    char name[64];
    NvmlMemory memory;
    NvmlMemory2 memory2 = {.version = sizeof(NvmlMemory2) | 2u << 24};
    unsigned count = 16;
    NvmlProcess2 list[16];
    NvmlProcess1 old[16];
    memset(list, 0, sizeof list);
    int result = nvmlDeviceGetMemoryInfo(device, &memory);
    snprintf(name, sizeof name, "memory.%s", when);
    say(name, "%d total %llu free %llu used %llu", result, memory.total, memory.free, memory.used);
    result = nvmlDeviceGetMemoryInfo_v2(device, &memory2);
    snprintf(name, sizeof name, "memory_v2.%s", when);
    say(name, "%d total %llu reserved %llu free %llu used %llu", result, memory2.total, memory2.reserved, memory2.free, memory2.used);
    result = nvmlDeviceGetComputeRunningProcesses_v3(device, &count, list);
    snprintf(name, sizeof name, "processes.%s", when);
    say(name, "%d count %u own %d used %llu instance %x %x", result, count, count && list[0].pid == (unsigned)getpid(), count ? list[0].used : 0,
        count ? list[0].gpu_instance : 0, count ? list[0].compute_instance : 0);
    count = 16;
    result = nvmlDeviceGetComputeRunningProcesses_v2(device, &count, list);
    snprintf(name, sizeof name, "processes_v2.%s", when), say(name, "%d count %u", result, count);
    count = 16;
    result = nvmlDeviceGetComputeRunningProcesses(device, &count, old);
    snprintf(name, sizeof name, "processes_v1.%s", when), say(name, "%d count %u", result, count);
    count = 0;
    result = nvmlDeviceGetComputeRunningProcesses_v3(device, &count, NULL);
    snprintf(name, sizeof name, "processes_no_room.%s", when), say(name, "%d count %u", result, count);
    count = 16;
    result = nvmlDeviceGetGraphicsRunningProcesses_v3(device, &count, list);
    snprintf(name, sizeof name, "graphics.%s", when), say(name, "%d count %u", result, count);
    count = 16;
    result = nvmlDeviceGetMPSComputeRunningProcesses_v3(device, &count, list);
    snprintf(name, sizeof name, "mps.%s", when), say(name, "%d count %u", result, count);
}

static void misuse(void) {
    NvmlDevice none = NULL;
    NvmlMemory2 wrong = {.version = 5};
    NvmlUtilization rates;
    code("misuse.index_99", nvmlDeviceGetHandleByIndex_v2(99, &none));
    code("misuse.handle_null", nvmlDeviceGetMemoryInfo(NULL, &(NvmlMemory){0}));
    code("misuse.out_null", nvmlDeviceGetMemoryInfo(device, NULL));
    code("misuse.memory_version", nvmlDeviceGetMemoryInfo_v2(device, &wrong));
    code("misuse.uuid", nvmlDeviceGetHandleByUUID("GPU-nothing", &none));
    code("misuse.pci", nvmlDeviceGetHandleByPciBusId_v2("0000:ff:1f.0", &none));
    code("misuse.utilization_null", nvmlDeviceGetUtilizationRates(device, NULL));
    code("misuse.process_name", nvmlSystemGetProcessName(999999, (char[64]){0}, 64));
    code("misuse.clock_9", nvmlDeviceGetClockInfo(device, 9, &(unsigned){0}));
    code("misuse.temperature_9", nvmlDeviceGetTemperature(device, 9, &(unsigned){0}));
    code("misuse.shutdown", nvmlShutdown());
    code("misuse.shutdown_again", nvmlShutdown());
    code("misuse.after_shutdown", nvmlDeviceGetUtilizationRates(device, &rates));
}

int main(void) {
    char text[96] = "";
    int number = 0;
    unsigned count = 0;
    device = nvml_start();
    must(nvmlSystemGetDriverVersion(text, 96));
    say("system.driver", "%s", text);
    must(nvmlSystemGetNVMLVersion(text, 96));
    say("system.nvml", "%s", text);
    must(nvmlSystemGetCudaDriverVersion_v2(&number));
    say("system.cuda", "%d", number);
    must(nvmlDeviceGetCount_v2(&count));
    say("system.devices", "%u", count);
    words();
    tables();
    memory_and_processes("before_context");
    CUcontext context = NULL;
    CUdeviceptr at = 0;
    driver_load();
    must(cuInit(0));
    memory_and_processes("after_init");
    must(cuDevicePrimaryCtxRetain(&context, 0));
    must(cuCtxSetCurrent(context));
    memory_and_processes("with_context");
    say("memory.driver_free_with_context", "%zu", free_bytes());
    must(cuMemAlloc_v2(&at, 1000 * MIB));
    memory_and_processes("with_1000_mib");
    say("memory.driver_free_with_1000_mib", "%zu", free_bytes());
    must(cuMemFree_v2(at));
    code("process_name", nvmlSystemGetProcessName((unsigned)getpid(), text, 96));
    say("process_name_value", "%s", text);
    misuse();
    return 0;
}
