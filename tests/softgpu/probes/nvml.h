/* The part of NVML's binary interface that the probes speak, written from its documented facts. */
#ifndef FASTGPU_NVML_H
#define FASTGPU_NVML_H

#include <stdint.h>

typedef struct nvml_device_opaque *NvmlDevice;
typedef unsigned long long NvmlLong;

typedef struct { NvmlLong total, free, used; } NvmlMemory;
typedef struct { unsigned version; NvmlLong total, reserved, free, used; } NvmlMemory2;
typedef struct { unsigned gpu, memory; } NvmlUtilization;
typedef struct { unsigned pid; NvmlLong used; } NvmlProcess1;
typedef struct { unsigned pid; NvmlLong used; unsigned gpu_instance, compute_instance; } NvmlProcess2;
typedef struct {
    char legacy[16];
    unsigned domain, bus, device, pci_id, subsystem_id;
    char bus_id[32];
} NvmlPci;
typedef union { double real; unsigned word; unsigned long large; NvmlLong huge; long long whole; int small; } NvmlValue;
typedef struct { NvmlLong time; NvmlValue value; } NvmlSample;
typedef struct { unsigned pid; NvmlLong time; unsigned sm, memory, encoder, decoder; } NvmlProcessSample;
typedef struct {
    unsigned field, scope;
    long long time, latency_us;
    unsigned type;
    int result;
    NvmlValue value;
} NvmlField;
typedef struct { void *device; NvmlLong type, data; unsigned gpu_instance, compute_instance; } NvmlEvent;

#define NVML_FUNCTIONS(X) \
    X(nvmlInit_v2, (void)) \
    X(nvmlInitWithFlags, (unsigned)) \
    X(nvmlShutdown, (void)) \
    X(nvmlSystemGetDriverVersion, (char *, unsigned)) \
    X(nvmlSystemGetNVMLVersion, (char *, unsigned)) \
    X(nvmlSystemGetCudaDriverVersion_v2, (int *)) \
    X(nvmlSystemGetProcessName, (unsigned, char *, unsigned)) \
    X(nvmlDeviceGetCount_v2, (unsigned *)) \
    X(nvmlDeviceGetHandleByIndex_v2, (unsigned, NvmlDevice *)) \
    X(nvmlDeviceGetHandleByUUID, (const char *, NvmlDevice *)) \
    X(nvmlDeviceGetHandleByPciBusId_v2, (const char *, NvmlDevice *)) \
    X(nvmlDeviceGetHandleBySerial, (const char *, NvmlDevice *)) \
    X(nvmlDeviceGetPciInfo_v3, (NvmlDevice, NvmlPci *)) \
    X(nvmlDeviceGetMemoryInfo, (NvmlDevice, NvmlMemory *)) \
    X(nvmlDeviceGetMemoryInfo_v2, (NvmlDevice, NvmlMemory2 *)) \
    X(nvmlDeviceGetBAR1MemoryInfo, (NvmlDevice, NvmlMemory *)) \
    X(nvmlDeviceGetUtilizationRates, (NvmlDevice, NvmlUtilization *)) \
    X(nvmlDeviceGetComputeRunningProcesses, (NvmlDevice, unsigned *, NvmlProcess1 *)) \
    X(nvmlDeviceGetComputeRunningProcesses_v2, (NvmlDevice, unsigned *, NvmlProcess2 *)) \
    X(nvmlDeviceGetComputeRunningProcesses_v3, (NvmlDevice, unsigned *, NvmlProcess2 *)) \
    X(nvmlDeviceGetGraphicsRunningProcesses_v3, (NvmlDevice, unsigned *, NvmlProcess2 *)) \
    X(nvmlDeviceGetMPSComputeRunningProcesses_v3, (NvmlDevice, unsigned *, NvmlProcess2 *)) \
    X(nvmlDeviceGetProcessUtilization, (NvmlDevice, NvmlProcessSample *, unsigned *, NvmlLong)) \
    X(nvmlDeviceGetSamples, (NvmlDevice, int, NvmlLong, int *, unsigned *, NvmlSample *)) \
    X(nvmlDeviceGetFieldValues, (NvmlDevice, int, NvmlField *)) \
    X(nvmlDeviceGetPowerUsage, (NvmlDevice, unsigned *)) \
    X(nvmlDeviceGetTotalEnergyConsumption, (NvmlDevice, NvmlLong *)) \
    X(nvmlDeviceGetTemperature, (NvmlDevice, int, unsigned *)) \
    X(nvmlDeviceGetTemperatureThreshold, (NvmlDevice, int, unsigned *)) \
    X(nvmlDeviceGetClockInfo, (NvmlDevice, int, unsigned *)) \
    X(nvmlDeviceGetMaxClockInfo, (NvmlDevice, int, unsigned *)) \
    X(nvmlDeviceGetEccMode, (NvmlDevice, int *, int *)) \
    X(nvmlDeviceGetMigMode, (NvmlDevice, unsigned *, unsigned *)) \
    X(nvmlDeviceGetTotalEccErrors, (NvmlDevice, int, int, NvmlLong *)) \
    X(nvmlDeviceGetMemoryErrorCounter, (NvmlDevice, int, int, int, NvmlLong *)) \
    X(nvmlDeviceGetRetiredPages, (NvmlDevice, int, unsigned *, NvmlLong *)) \
    X(nvmlDeviceGetRemappedRows, (NvmlDevice, unsigned *, unsigned *, unsigned *, unsigned *)) \
    X(nvmlDeviceGetPowerManagementLimitConstraints, (NvmlDevice, unsigned *, unsigned *)) \
    X(nvmlDeviceGetCudaComputeCapability, (NvmlDevice, int *, int *)) \
    X(nvmlDeviceGetTopologyCommonAncestor, (NvmlDevice, NvmlDevice, int *)) \
    X(nvmlDeviceGetP2PStatus, (NvmlDevice, NvmlDevice, int, int *)) \
    X(nvmlDeviceGetNvLinkState, (NvmlDevice, unsigned, int *)) \
    X(nvmlDeviceGetNvLinkVersion, (NvmlDevice, unsigned, unsigned *)) \
    X(nvmlDeviceGetCpuAffinity, (NvmlDevice, unsigned, unsigned long *)) \
    X(nvmlDeviceGetCurrentClocksEventReasons, (NvmlDevice, NvmlLong *)) \
    X(nvmlDeviceGetSupportedClocksEventReasons, (NvmlDevice, NvmlLong *)) \
    X(nvmlDeviceGetSupportedEventTypes, (NvmlDevice, NvmlLong *)) \
    X(nvmlDeviceGetSupportedMemoryClocks, (NvmlDevice, unsigned *, unsigned *)) \
    X(nvmlDeviceGetAccountingMode, (NvmlDevice, int *)) \
    X(nvmlDeviceGetAccountingBufferSize, (NvmlDevice, unsigned *)) \
    X(nvmlDeviceGetViolationStatus, (NvmlDevice, int, NvmlLong *)) \
    X(nvmlDeviceGetFanSpeed, (NvmlDevice, unsigned *)) \
    X(nvmlDeviceGetEncoderUtilization, (NvmlDevice, unsigned *, unsigned *)) \
    X(nvmlDeviceGetDecoderUtilization, (NvmlDevice, unsigned *, unsigned *)) \
    X(nvmlDeviceGetPcieThroughput, (NvmlDevice, int, unsigned *)) \
    X(nvmlEventSetCreate, (void **)) \
    X(nvmlDeviceRegisterEvents, (NvmlDevice, NvmlLong, void *)) \
    X(nvmlEventSetWait_v2, (void *, NvmlEvent *, unsigned)) \
    X(nvmlEventSetFree, (void *))

#define DECLARE_POINTER(name, arguments) __attribute__((unused)) static int(*name) arguments;
NVML_FUNCTIONS(DECLARE_POINTER)
#undef DECLARE_POINTER

__attribute__((unused)) static void *nvml_library;

__attribute__((unused)) static NvmlDevice nvml_start(void) {
    NvmlDevice device = 0;
    const char *path = getenv("PROBE_LIBNVML");
    nvml_library = dlopen(path ? path : "libnvidia-ml.so.1", RTLD_NOW);
    if (!nvml_library) {
        say("probe.stopped", "%s", dlerror());
        exit(1);
    }
#define LOAD(name, arguments)                                                                                          \
    name = (int(*) arguments)dlsym(nvml_library, #name);                                                               \
    if (!name) say("missing." #name, "1");
    NVML_FUNCTIONS(LOAD)
#undef LOAD
    if (nvmlInit_v2() != 0 || nvmlDeviceGetHandleByIndex_v2(0, &device) != 0) say("probe.stopped", "no device in NVML"), exit(1);
    return device;
}

#endif
