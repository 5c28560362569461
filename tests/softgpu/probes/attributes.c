/* What the driver says of itself and of device 0: versions, names, memory, every attribute, every error code. */
#include "probe.h"

static void errors(void) {
    char name[64];
    for (int number = 0; number < 1100; number++) {
        const char *text = NULL, *word = NULL;
        if (cuGetErrorName(number, &word) != 0 || !word) continue;
        cuGetErrorString(number, &text);
        snprintf(name, sizeof name, "error.%d", number);
        say(name, "%s: %s", word, text ? text : "");
    }
    const char *word = "unset";
    code("error.name_of_unknown", cuGetErrorName(12345, &word));
    say("error.name_of_unknown_sets", "%s", word ? word : "NULL");
}

static void numbers(CUdevice device) {
    char name[64];
    for (int id = -1; id < 170; id++) {
        int value = -77;
        CUresult result = cuDeviceGetAttribute(&value, id, device);
        snprintf(name, sizeof name, "attribute.%d", id);
        if (result == 0) say(name, "%d", value);
        else say(name, "answers %d", result);
    }
    for (int id = 0; id < 8; id++) {
        int value = -77;
        CUresult result = cuDeviceGetP2PAttribute(&value, id, device, device);
        snprintf(name, sizeof name, "peer_with_itself.%d", id);
        say(name, "%d %d", result, value);
    }
    for (int id = 0; id < 3; id++) {
        int value = -77;
        CUresult result = cuDeviceGetExecAffinitySupport(&value, id, device);
        snprintf(name, sizeof name, "affinity.%d", id);
        say(name, "%d %d", result, value);
    }
}

static void misuse(void) {
    CUdevice device = -1;
    int value = 0;
    size_t bytes = 0;
    code("misuse.device_get_minus_one", cuDeviceGet(&device, -1));
    code("misuse.device_get_9999", cuDeviceGet(&device, 9999));
    code("misuse.device_get_null", cuDeviceGet(NULL, 0));
    code("misuse.count_null", cuDeviceGetCount(NULL));
    code("misuse.name_null", cuDeviceGetName(NULL, 10, 0));
    code("misuse.name_short", cuDeviceGetName((char[4]){0}, 3, 0));
    code("misuse.attribute_null", cuDeviceGetAttribute(NULL, 1, 0));
    code("misuse.attribute_bad_device", cuDeviceGetAttribute(&value, 1, 99));
    code("misuse.total_bad_device", cuDeviceTotalMem_v2(&bytes, 99));
    code("misuse.total_null", cuDeviceTotalMem_v2(NULL, 0));
    code("misuse.uuid_null", cuDeviceGetUuid_v2(NULL, 0));
    code("misuse.version_null", cuDriverGetVersion(NULL));
    code("misuse.init_flag", cuInit(1));
    code("misuse.pci_of_nothing", cuDeviceGetByPCIBusId(&device, "0000:ff:1f.0"));
    code("misuse.pci_of_words", cuDeviceGetByPCIBusId(&device, "hello"));
    code("misuse.access_itself", cuDeviceCanAccessPeer(&value, 0, 0));
    say("misuse.access_itself_value", "%d", value);
}

int main(void) {
    int value = 0, major = 0, minor = 0;
    CUdevice device = 0;
    char text[256] = "";
    CUuuid uuid;
    size_t bytes = 0;

    driver_load();
    code("before_init.version", cuDriverGetVersion(&value));
    say("driver.version", "%d", value);
    code("before_init.count", cuDeviceGetCount(&value));
    code("before_init.device", cuDeviceGet(&device, 0));
    code("before_init.context", cuCtxGetCurrent(&(CUcontext){0}));
    code("before_init.alloc", cuMemAlloc_v2(&(CUdeviceptr){0}, 1));
    code("before_init.synchronize", cuCtxSynchronize());
    must(cuInit(0));
    must(cuDeviceGetCount(&value));
    say("device.count", "%d", value);
    must(cuDeviceGet(&device, 0));
    must(cuDeviceGetName(text, sizeof text, device));
    say("device.name", "%s", text);
    must(cuDeviceGetUuid_v2(&uuid, device));
    must(cuDeviceTotalMem_v2(&bytes, device));
    say("device.total_memory", "%zu", bytes);
    must(cuDeviceGetPCIBusId(text, sizeof text, device));
    say("device.pci", "%s", text);
    code("device.by_pci", cuDeviceGetByPCIBusId(&device, text));
    must(cuDeviceComputeCapability(&major, &minor, device));
    say("device.capability", "%d.%d", major, minor);
    code("device.luid", cuDeviceGetLuid(text, &(unsigned){0}, device));
    code("device.texture_width", cuDeviceGetTexture1DLinearMaxWidth(&bytes, 0x20, 1, device));
    say("device.texture_width_value", "%zu", bytes);
    code("module.loading_mode", cuModuleGetLoadingMode(&value));
    say("module.loading_mode_value", "%d", value);
    misuse();
    numbers(device);
    errors();
    return 0;
}
