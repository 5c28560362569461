/*
 * A stand-in for libnvidia-ml.so.1, so that the probe is tested without a GPU.
 *
 * What it does is chosen twice: when it is compiled (-D...), and while it runs by the first letter of
 * the file MOOD_FILE, because the probe hands no environment to the library:
 *
 *   no file or 'o'  all is well          'n'  the driver is not loaded
 *   'h'  every device call hangs         'H'  the start hangs
 *   'a'  device calls abort              'l'  the second device has fallen off the bus
 *   'v'  library and driver differ       'p'  no permission
 *   'z'  no devices                      'u'  unknown error at the start
 *   's'  the start takes 300 ms
 *
 *   -DOLD_DRIVER   lacks the functions that came late (memory v2, MIG, PCI v3)
 *   -DPRINTS       is rude and prints to standard output
 *   -DFLOODS       prints without end
 *   -DNOT_NVML     exports nothing of NVML
 *
 * Only what the probe calls is here. Structures follow the public NVML interface.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <fcntl.h>

#ifdef NOT_NVML

int something_else(void) { return 0; }

#else

enum {
    SUCCESS = 0,
    INVALID_ARGUMENT = 2,
    NOT_SUPPORTED = 3,
    NO_PERMISSION = 4,
    INSUFFICIENT_SIZE = 7,
    DRIVER_NOT_LOADED = 9,
    GPU_IS_LOST = 15,
    LIB_RM_VERSION_MISMATCH = 18,
    ARGUMENT_VERSION_MISMATCH = 25,
    UNKNOWN = 999,
};

enum { DEVICES = 2 };

struct device {
    unsigned index;
};

struct pci_info {
    char bus_id_legacy[16];
    unsigned domain, bus, device, pci_device_id, pci_sub_system_id;
    char bus_id[32];
};

struct memory_v2 {
    unsigned version;
    unsigned long long total, reserved, free, used;
};

struct utilization {
    unsigned gpu, memory;
};

static struct device devices[DEVICES] = {{0}, {1}};

static char mood(void) {
    char letter = 'o';
#ifdef MOOD_FILE
    int file = open(MOOD_FILE, O_RDONLY | O_CLOEXEC);
    if (file >= 0) {
        if (read(file, &letter, 1) != 1)
            letter = 'o';
        close(file);
    }
#endif
    return letter;
}

static void hang(void) {
    for (;;)
        pause();
}

/* What every call about a device begins with. */
static int device_call(const struct device *device) {
    switch (mood()) {
    case 'h':
        hang();
        return UNKNOWN;
    case 'a':
        abort();
    case 'l':
        return device->index == 1 ? GPU_IS_LOST : SUCCESS;
    default:
        return SUCCESS;
    }
}

static int give_text(char *to, unsigned bytes, const char *text) {
    if (strlen(text) + 1 > bytes)
        return INSUFFICIENT_SIZE;
    strcpy(to, text);
    return SUCCESS;
}

int nvmlInit_v2(void) {
#ifdef PRINTS
    printf("NVRM: hello from a library that talks\n{\"seq\":77}\n");
    fflush(stdout);
#endif
#ifdef FLOODS
    for (;;)
        printf("NVRM: this never ends, and there is no line break in it; ");
#endif
    switch (mood()) {
    case 'H':
        hang();
        return UNKNOWN;
    case 's':
        usleep(300 * 1000);
        return SUCCESS;
    case 'n':
        return DRIVER_NOT_LOADED;
    case 'v':
        return LIB_RM_VERSION_MISMATCH;
    case 'p':
        return NO_PERMISSION;
    case 'u':
        return UNKNOWN;
    default:
        return SUCCESS;
    }
}

int nvmlShutdown(void) { return SUCCESS; }

int nvmlSystemGetDriverVersion(char *version, unsigned bytes) { return give_text(version, bytes, "580.65.06"); }

int nvmlDeviceGetCount_v2(unsigned *count) {
    *count = mood() == 'z' ? 0 : DEVICES;
    return SUCCESS;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, struct device **device) {
    if (index >= DEVICES)
        return INVALID_ARGUMENT;
    *device = &devices[index];
    return device_call(*device);
}

int nvmlDeviceGetName(struct device *device, char *name, unsigned bytes) {
    int result = device_call(device);
    return result ? result : give_text(name, bytes, device->index == 0 ? "NVIDIA H200" : "NVIDIA L4");
}

int nvmlDeviceGetUUID(struct device *device, char *uuid, unsigned bytes) {
    int result = device_call(device);
    return result ? result
                  : give_text(uuid, bytes, device->index == 0 ? "GPU-00000000-1111-2222-3333-444444444444"
                                                              : "GPU-55555555-6666-7777-8888-999999999999");
}

int nvmlDeviceGetPowerUsage(struct device *device, unsigned *milliwatts) {
    *milliwatts = 75000 + device->index;
    /* Not every board can tell. */
    return device->index == 1 ? NOT_SUPPORTED : device_call(device);
}

int nvmlDeviceGetTemperature(struct device *device, unsigned sensor, unsigned *celsius) {
    *celsius = 40 + device->index;
    return sensor == 0 ? device_call(device) : INVALID_ARGUMENT;
}

int nvmlDeviceGetUtilizationRates(struct device *device, struct utilization *rates) {
    rates->gpu = 12;
    rates->memory = 3;
    return device_call(device);
}

#ifndef OLD_DRIVER

int nvmlDeviceGetMemoryInfo_v2(struct device *device, struct memory_v2 *memory) {
    if (memory->version != (sizeof(*memory) | 2u << 24))
        return ARGUMENT_VERSION_MISMATCH;
    memory->total = (device->index == 0 ? 143771ull : 23034ull) << 20;
    memory->reserved = 600ull << 20;
    memory->used = 1024ull << 20;
    memory->free = memory->total - memory->reserved - memory->used;
    return device_call(device);
}

int nvmlDeviceGetPciInfo_v3(struct device *device, struct pci_info *info) {
    memset(info, 0, sizeof(*info));
    snprintf(info->bus_id, sizeof(info->bus_id), "00000000:%02X:00.0", 0x3b + device->index);
    return device_call(device);
}

int nvmlDeviceGetMigMode(struct device *device, unsigned *current, unsigned *pending) {
    /* The first device has the mode, off; the second is of a kind without it. */
    *current = *pending = 0;
    return device->index == 1 ? NOT_SUPPORTED : device_call(device);
}

#endif
#endif
