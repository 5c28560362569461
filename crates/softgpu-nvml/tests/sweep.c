/*
 * Asks an NVML library everything a monitoring tool asks, and prints `name code value`, one per line.
 *
 * The same program runs on a real GPU and on the software one; where the two differ is written down in
 * docs/softgpu-calibration.md. It opens the library by name and links against nothing.
 *
 *     cc -O1 -o sweep sweep.c -ldl && ./sweep [LIBRARY]
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void *dev;
static void *library;

static void *find(const char *name) {
    void *f = dlsym(library, name);
    if (!f)
        printf("%s missing\n", name);
    return f;
}

static void text_of(const char *name, dev d, unsigned size) {
    char text[512] = "";
    int (*f)(dev, char *, unsigned) = find(name);
    if (f) {
        int code = f(d, text, size);
        printf("%s(%u) %d %s\n", name, size, code, code ? "" : text);
    }
}

static void number_of(const char *name, dev d) {
    unsigned v = 0xabababab;
    int (*f)(dev, unsigned *) = find(name);
    if (f) {
        int code = f(d, &v);
        printf("%s %d %u\n", name, code, code ? 0 : v);
        printf("%s(null) %d\n", name, f(d, NULL));
    }
}

static void long_of(const char *name, dev d) {
    unsigned long long v = 0;
    int (*f)(dev, unsigned long long *) = find(name);
    if (f) {
        int code = f(d, &v);
        printf("%s %d %llu\n", name, code, code ? 0 : v);
    }
}

static void pair_of(const char *name, dev d) {
    unsigned a = 0, b = 0;
    int (*f)(dev, unsigned *, unsigned *) = find(name);
    if (f) {
        int code = f(d, &a, &b);
        printf("%s %d %u %u\n", name, code, code ? 0 : a, code ? 0 : b);
    }
}

static void by_argument(const char *name, dev d, unsigned from, unsigned to) {
    int (*f)(dev, unsigned, unsigned *) = find(name);
    for (unsigned i = from; f && i < to; i++) {
        unsigned v = 0;
        int code = f(d, i, &v);
        printf("%s(%u) %d %u\n", name, i, code, code ? 0 : v);
    }
}

static void by_two(const char *name, dev d, unsigned n, unsigned m) {
    /* Some of these write a long. */
    int (*f)(dev, unsigned, unsigned, void *) = find(name);
    for (unsigned i = 0; f && i < n; i++)
        for (unsigned j = 0; j < m; j++) {
            unsigned long long v = 0;
            int code = f(d, i, j, &v);
            printf("%s(%u,%u) %d %llu\n", name, i, j, code, code ? 0 : v);
        }
}

static void bytes_of(const char *name, dev d, unsigned version, unsigned size) {
    static unsigned char room[16384];
    int (*f)(dev, void *) = find(name);
    if (!f)
        return;
    memset(room, 0, sizeof(room));
    if (version)
        *(unsigned *)room = size | version << 24;
    int code = f(d, room);
    printf("%s[v%u,%u] %d", name, version, size, code);
    for (unsigned i = 0; !code && i < size && i < 160; i += 4)
        printf(" %x", *(unsigned *)(room + i));
    printf("\n");
    if (version) {
        *(unsigned *)room = size | (version + 7) << 24;
        printf("%s(other version) %d\n", name, f(d, room));
    }
    printf("%s(null) %d\n", name, f(d, NULL));
}

static void counted(const char *name, dev d, unsigned item) {
    static unsigned char room[65536];
    int (*f)(dev, unsigned *, void *) = find(name);
    if (!f)
        return;
    unsigned count = 0;
    int first = f(d, &count, NULL);
    unsigned told = count;
    count = sizeof(room) / item;
    int second = f(d, &count, room);
    printf("%s 0/NULL:%d,%u room:%d,%u null:%d", name, first, told, second, second ? 0 : count, f(d, NULL, room));
    for (unsigned i = 0; !second && i < count && i < 4; i++)
        for (unsigned j = 0; j < item; j += 4)
            printf(" %x", *(unsigned *)(room + i * item + j));
    printf("\n");
}

struct field {
    unsigned id, scope;
    long long at, took;
    unsigned type, code;
    union {
        double d;
        unsigned u;
        unsigned long long l;
    } value;
};

static void fields(dev d) {
    int (*f)(dev, int, struct field *) = find("nvmlDeviceGetFieldValues");
    for (unsigned id = 0; f && id < 276; id++) {
        struct field one = {.id = id};
        int code = f(d, 1, &one);
        printf("field(%u) %d %u type %u %llu\n", id, code, one.code, one.code ? 0 : one.type, one.code ? 0 : one.value.l);
    }
    if (f)
        printf("fields(0) %d fields(NULL) %d\n", f(d, 0, (struct field[1]){{0}}), f(d, 1, NULL));
}

static void events(dev d) {
    void *set = NULL;
    unsigned long long types = 0;
    int (*supported)(dev, unsigned long long *) = find("nvmlDeviceGetSupportedEventTypes");
    int (*create)(void **) = find("nvmlEventSetCreate");
    int (*reg)(dev, unsigned long long, void *) = find("nvmlDeviceRegisterEvents");
    int (*wait)(void *, void *, unsigned) = find("nvmlEventSetWait_v2");
    int (*end)(void *) = find("nvmlEventSetFree");
    if (!supported || !create || !reg || !wait || !end)
        return;
    char data[64];
    int first = supported(d, &types);
    printf("events supported %d %llx create %d null %d", first, types, create(&set), create(NULL));
    printf(" register xid %d all %d none %d strange %d", reg(d, 8, set), reg(d, types, set), reg(d, 0, set), reg(d, 1ull << 40, set));
    printf(" wait %d null %d free %d\n", wait(set, data, 10), wait(set, NULL, 10), end(set));
}

static void system_side(void) {
    char text[128];
    int cuda = 0, code;
    int (*word)(char *, unsigned);
    const char *words[] = {"nvmlSystemGetDriverVersion", "nvmlSystemGetNVMLVersion"};
    for (int i = 0; i < 2; i++)
        if ((word = find(words[i]))) {
            code = word(text, sizeof(text));
            printf("%s %d %s short %d null %d\n", words[i], code, text, word(text, 3), word(NULL, 80));
        }
    int (*version)(int *) = find("nvmlSystemGetCudaDriverVersion_v2");
    if (version) {
        code = version(&cuda);
        printf("nvmlSystemGetCudaDriverVersion_v2 %d %d null %d\n", code, cuda, version(NULL));
    }
    int (*process)(unsigned, char *, unsigned) = find("nvmlSystemGetProcessName");
    if (process)
        printf("nvmlSystemGetProcessName(none) %d short %d\n", process(4000000, text, 100), process(1, text, 1));
    const char *(*error)(int) = find("nvmlErrorString");
    for (int i = 0; error && i < 33; i++)
        printf("nvmlErrorString(%d) %s\n", i, error(i));
    if (error)
        printf("nvmlErrorString(999) %s\n", error(999));
    unsigned units = 9;
    int (*count)(unsigned *) = find("nvmlUnitGetCount");
    if (count) {
        code = count(&units);
        printf("nvmlUnitGetCount %d %u\n", code, units);
    }
}

static void found_by(const char *name, const char *key) {
    dev d = NULL;
    int (*f)(const char *, dev *) = find(name);
    if (f)
        printf("%s(own) %d (strange) %d (null) %d (no out) %d\n", name, f(key, &d), f("GPU-no-such", &d), f(NULL, &d), f(key, NULL));
}

int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    library = dlopen(argc > 1 ? argv[1] : "libnvidia-ml.so.1", RTLD_NOW);
    if (!library)
        return fprintf(stderr, "%s\n", dlerror()), 1;
    int (*init)(void) = find("nvmlInit_v2"), (*down)(void) = find("nvmlShutdown");
    int (*count)(unsigned *) = find("nvmlDeviceGetCount_v2");
    int (*handle)(unsigned, dev *) = find("nvmlDeviceGetHandleByIndex_v2");
    unsigned n = 0;
    dev d = NULL;
    printf("before: count %d shutdown %d handle %d\n", count(&n), down(), handle(0, &d));
    int code = init();
    printf("nvmlInit_v2 %d again %d down %d\n", code, init(), down());
    code = count(&n);
    printf("nvmlDeviceGetCount_v2 %d %u null %d\n", code, n, count(NULL));
    printf("nvmlDeviceGetHandleByIndex_v2(beyond) %d null %d\n", handle(n, &d), handle(0, NULL));
    code = handle(0, &d);
    printf("nvmlDeviceGetHandleByIndex_v2 %d\n", code);
    system_side();
    const char *texts[] = {"nvmlDeviceGetName", "nvmlDeviceGetUUID", "nvmlDeviceGetSerial", "nvmlDeviceGetVbiosVersion", "nvmlDeviceGetBoardPartNumber", "nvmlDeviceGetInforomImageVersion", "nvmlDeviceGetGspFirmwareVersion"};
    for (unsigned i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        text_of(texts[i], d, 96);
        text_of(texts[i], d, 3);
    }
    const char *numbers[] = {"nvmlDeviceGetIndex", "nvmlDeviceGetMinorNumber", "nvmlDeviceGetBoardId", "nvmlDeviceGetMultiGpuBoard", "nvmlDeviceGetBrand", "nvmlDeviceGetArchitecture", "nvmlDeviceGetBusType", "nvmlDeviceGetPersistenceMode", "nvmlDeviceGetComputeMode", "nvmlDeviceGetDisplayMode", "nvmlDeviceGetDisplayActive", "nvmlDeviceGetPowerManagementMode", "nvmlDeviceGetPowerManagementLimit", "nvmlDeviceGetPowerManagementDefaultLimit", "nvmlDeviceGetEnforcedPowerLimit", "nvmlDeviceGetPowerUsage", "nvmlDeviceGetPowerState", "nvmlDeviceGetPerformanceState", "nvmlDeviceGetFanSpeed", "nvmlDeviceGetNumFans", "nvmlDeviceGetMaxPcieLinkGeneration", "nvmlDeviceGetGpuMaxPcieLinkGeneration", "nvmlDeviceGetMaxPcieLinkWidth", "nvmlDeviceGetCurrPcieLinkGeneration", "nvmlDeviceGetCurrPcieLinkWidth", "nvmlDeviceGetPcieReplayCounter", "nvmlDeviceGetPcieLinkMaxSpeed", "nvmlDeviceGetPcieSpeed", "nvmlDeviceGetNumGpuCores", "nvmlDeviceGetMemoryBusWidth", "nvmlDeviceGetPowerSource", "nvmlDeviceGetAdaptiveClockInfoStatus", "nvmlDeviceGetIrqNum", "nvmlDeviceGetModuleId", "nvmlDeviceGetMaxMigDeviceCount", "nvmlDeviceIsMigDeviceHandle", "nvmlDeviceGetGpuInstanceId", "nvmlDeviceGetVirtualizationMode", "nvmlDeviceGetHostVgpuMode", "nvmlDeviceGetDefaultEccMode", "nvmlDeviceGetAccountingMode", "nvmlDeviceGetAccountingBufferSize", "nvmlDeviceGetRetiredPagesPendingStatus", "nvmlDeviceGetNumaNodeId", "nvmlDeviceGetInforomConfigurationChecksum", "nvmlDeviceValidateInforom"};
    for (unsigned i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
        number_of(numbers[i], d);
    const char *longs[] = {"nvmlDeviceGetTotalEnergyConsumption", "nvmlDeviceGetCurrentClocksThrottleReasons", "nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetSupportedClocksThrottleReasons", "nvmlDeviceGetSupportedEventTypes"};
    for (unsigned i = 0; i < sizeof(longs) / sizeof(*longs); i++)
        long_of(longs[i], d);
    const char *pairs[] = {"nvmlDeviceGetMigMode", "nvmlDeviceGetEccMode", "nvmlDeviceGetPowerManagementLimitConstraints", "nvmlDeviceGetCudaComputeCapability", "nvmlDeviceGetEncoderUtilization", "nvmlDeviceGetDecoderUtilization", "nvmlDeviceGetJpgUtilization", "nvmlDeviceGetOfaUtilization", "nvmlDeviceGetUtilizationRates", "nvmlDeviceGetDriverModel", "nvmlDeviceGetGpuOperationMode", "nvmlDeviceGetAutoBoostedClocksEnabled", "nvmlDeviceGetMinMaxFanSpeed", "nvmlDeviceGetGspFirmwareMode"};
    for (unsigned i = 0; i < sizeof(pairs) / sizeof(*pairs); i++)
        pair_of(pairs[i], d);
    by_argument("nvmlDeviceGetTemperature", d, 0, 2);
    by_argument("nvmlDeviceGetTemperatureThreshold", d, 0, 9);
    by_argument("nvmlDeviceGetClockInfo", d, 0, 5);
    by_argument("nvmlDeviceGetMaxClockInfo", d, 0, 5);
    by_argument("nvmlDeviceGetMaxCustomerBoostClock", d, 0, 5);
    by_argument("nvmlDeviceGetApplicationsClock", d, 0, 4);
    by_argument("nvmlDeviceGetDefaultApplicationsClock", d, 0, 4);
    by_argument("nvmlDeviceGetPcieThroughput", d, 0, 3);
    by_argument("nvmlDeviceGetFanSpeed_v2", d, 0, 1);
    by_argument("nvmlDeviceGetEncoderCapacity", d, 0, 3);
    by_argument("nvmlDeviceGetNvLinkState", d, 0, 20);
    by_argument("nvmlDeviceGetNvLinkVersion", d, 0, 1);
    by_argument("nvmlDeviceGetNvLinkRemoteDeviceType", d, 0, 1);
    by_argument("nvmlDeviceGetInforomVersion", d, 0, 0);
    by_two("nvmlDeviceGetNvLinkCapability", d, 1, 7);
    by_two("nvmlDeviceGetClock", d, 4, 4);
    by_two("nvmlDeviceGetTotalEccErrors", d, 2, 2);
    bytes_of("nvmlDeviceGetMemoryInfo", d, 0, 24);
    bytes_of("nvmlDeviceGetMemoryInfo_v2", d, 2, 40);
    bytes_of("nvmlDeviceGetBAR1MemoryInfo", d, 0, 24);
    bytes_of("nvmlDeviceGetPciInfo_v3", d, 0, 68);
    bytes_of("nvmlDeviceGetPciInfo_v2", d, 0, 68);
    bytes_of("nvmlDeviceGetPciInfoExt", d, 1, 64);
    bytes_of("nvmlDeviceGetTemperatureV", d, 1, 12);
    bytes_of("nvmlDeviceGetMarginTemperature", d, 1, 8);
    bytes_of("nvmlDeviceGetGpuFabricInfo", d, 0, 92);
    bytes_of("nvmlDeviceGetGpuFabricInfoV", d, 2, 36);
    bytes_of("nvmlDeviceGetGpuFabricInfoV", d, 3, 40);
    bytes_of("nvmlDeviceGetDynamicPstatesInfo", d, 0, 132);
    bytes_of("nvmlDeviceGetClkMonStatus", d, 0, 264);
    bytes_of("nvmlDeviceGetAttributes_v2", d, 0, 40);
    bytes_of("nvmlDeviceGetCapabilities", d, 1, 8);
    bytes_of("nvmlDeviceGetRepairStatus", d, 1, 12);
    bytes_of("nvmlDeviceGetAddressingMode", d, 1, 8);
    bytes_of("nvmlDeviceGetSramEccErrorStatus", d, 1, 104);
    bytes_of("nvmlDeviceGetRowRemapperHistogram", d, 0, 20);
    bytes_of("nvmlDeviceGetFBCStats", d, 0, 12);
    bytes_of("nvmlDeviceGetConfComputeMemSizeInfo", d, 0, 16);
    bytes_of("nvmlDeviceGetPerformanceModes", d, 1, 2052);
    bytes_of("nvmlDeviceGetCurrentClockFreqs", d, 1, 2052);
    counted("nvmlDeviceGetComputeRunningProcesses", d, 16);
    counted("nvmlDeviceGetComputeRunningProcesses_v2", d, 24);
    counted("nvmlDeviceGetComputeRunningProcesses_v3", d, 24);
    counted("nvmlDeviceGetGraphicsRunningProcesses", d, 16);
    counted("nvmlDeviceGetGraphicsRunningProcesses_v3", d, 24);
    counted("nvmlDeviceGetMPSComputeRunningProcesses_v3", d, 24);
    counted("nvmlDeviceGetSupportedMemoryClocks", d, 4);
    counted("nvmlDeviceGetAccountingPids", d, 4);
    counted("nvmlDeviceGetEncoderSessions", d, 32);
    int (*graphics)(dev, unsigned, unsigned *, unsigned *) = find("nvmlDeviceGetSupportedGraphicsClocks");
    if (graphics) {
        unsigned room[1024], many = 1024, none = 0;
        code = graphics(d, 2619, &many, room);
        printf("nvmlDeviceGetSupportedGraphicsClocks %d %u %u %u none %d,%u strange %d\n", code, many, room[0], room[1], graphics(d, 2619, &none, NULL), none, graphics(d, 17, &many, room));
    }
    unsigned long word[4] = {0};
    int (*affinity)(dev, unsigned, unsigned long *) = find("nvmlDeviceGetCpuAffinity");
    if (affinity) {
        code = affinity(d, 4, word);
        printf("nvmlDeviceGetCpuAffinity %d %lx %lx zero %d null %d\n", code, word[0], word[1], affinity(d, 0, word), affinity(d, 4, NULL));
    }
    unsigned level = 99;
    int (*ancestor)(dev, dev, unsigned *) = find("nvmlDeviceGetTopologyCommonAncestor");
    if (ancestor) {
        code = ancestor(d, d, &level);
        printf("nvmlDeviceGetTopologyCommonAncestor(self) %d %u\n", code, level);
    }
    int (*p2p)(dev, dev, unsigned, unsigned *) = find("nvmlDeviceGetP2PStatus");
    for (unsigned i = 0; p2p && i < 6; i++) {
        code = p2p(d, d, i, &level);
        printf("nvmlDeviceGetP2PStatus(self,%u) %d %u\n", i, code, level);
    }
    int (*remapped)(dev, unsigned *, unsigned *, unsigned *, unsigned *) = find("nvmlDeviceGetRemappedRows");
    if (remapped) {
        unsigned a = 9, b = 9, c = 9, e = 9;
        code = remapped(d, &a, &b, &c, &e);
        printf("nvmlDeviceGetRemappedRows %d %u %u %u %u null %d\n", code, a, b, c, e, remapped(d, &a, NULL, &c, &e));
    }
    int (*samples)(dev, unsigned, unsigned long long, unsigned *, unsigned *, void *) = find("nvmlDeviceGetSamples");
    for (unsigned i = 0; samples && i < 10; i++) {
        static unsigned long long room[2 * 4096];
        unsigned type = 99, many = 4096, none = 0;
        code = samples(d, i, 0, &type, &many, room);
        int asked = samples(d, i, 0, &type, &none, NULL);
        printf("nvmlDeviceGetSamples(%u) %d type %u count %u asked %d,%u step %llu last %llu\n", i, code, type, code ? 0 : many, asked, none, code || many < 2 ? 0 : room[2] - room[0], code || !many ? 0 : room[2 * many - 1]);
    }
    int (*use)(dev, void *, unsigned *, unsigned long long) = find("nvmlDeviceGetProcessUtilization");
    if (use) {
        static char room[32 * 1000];
        unsigned many = 1000, none = 0;
        code = use(d, room, &many, 0);
        printf("nvmlDeviceGetProcessUtilization %d %u asked %d,%u\n", code, many, use(d, NULL, &none, 0), none);
    }
    int (*violation)(dev, unsigned, void *) = find("nvmlDeviceGetViolationStatus");
    for (unsigned i = 0; violation && i < 12; i++) {
        unsigned long long v[2] = {0};
        code = violation(d, i, v);
        printf("nvmlDeviceGetViolationStatus(%u) %d %llu\n", i, code, code ? 0 : v[1]);
    }
    int (*counter)(dev, unsigned, unsigned, unsigned, unsigned long long *) = find("nvmlDeviceGetMemoryErrorCounter");
    for (unsigned i = 0; counter && i < 9; i++) {
        unsigned long long v = 0;
        code = counter(d, 1, 0, i, &v);
        printf("nvmlDeviceGetMemoryErrorCounter(1,0,%u) %d %llu\n", i, code, code ? 0 : v);
    }
    int (*detailed)(dev, unsigned, unsigned, void *) = find("nvmlDeviceGetDetailedEccErrors");
    if (detailed) {
        unsigned long long v[4];
        printf("nvmlDeviceGetDetailedEccErrors %d\n", detailed(d, 0, 0, v));
    }
    char uuid[96] = "", serial[40] = "";
    ((int (*)(dev, char *, unsigned))find("nvmlDeviceGetUUID"))(d, uuid, 96);
    ((int (*)(dev, char *, unsigned))find("nvmlDeviceGetSerial"))(d, serial, 30);
    char pci[68];
    ((int (*)(dev, void *))find("nvmlDeviceGetPciInfo_v3"))(d, pci);
    found_by("nvmlDeviceGetHandleByUUID", uuid);
    found_by("nvmlDeviceGetHandleBySerial", serial);
    found_by("nvmlDeviceGetHandleByPciBusId_v2", pci + 36);
    found_by("nvmlDeviceGetHandleByPciBusId_v2", pci);
    int (*name)(dev, char *, unsigned) = find("nvmlDeviceGetName");
    char room[96];
    printf("name of NULL %d of garbage %d into NULL %d\n", name(NULL, room, 96), name((dev)0x1234, room, 96), name(d, NULL, 96));
    events(d);
    fields(d);
    printf("shutdown %d again %d name after %d\n", down(), down(), name(d, room, 96));
    return 0;
}
