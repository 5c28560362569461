/* Settings of core dumps, notifications and what links can do: kept and given back, wrong ones refused. */
#include "driver.h"

CUresult cuCoredumpGetAttribute(int, void *, size_t *);
CUresult cuCoredumpSetAttribute(int, void *, size_t *);
CUresult cuCoredumpGetAttributeGlobal(int, void *, size_t *);
CUresult cuCoredumpSetAttributeGlobal(int, void *, size_t *);
CUresult cuDeviceRegisterAsyncNotification(CUdevice, void (*)(void *, void *, void *), void *, void **);
CUresult cuDeviceUnregisterAsyncNotification(CUdevice, void *);
CUresult cuDeviceGetHostAtomicCapabilities(unsigned *, const int *, unsigned, CUdevice);
CUresult cuDeviceGetP2PAtomicCapabilities(unsigned *, const int *, unsigned, CUdevice, CUdevice);

static void told(void *info, void *data, void *handle) {
    (void)info, (void)data, (void)handle;
}

static void dumps(void) {
    char text[1024] = "";
    unsigned char yes = 1, seen = 9;
    unsigned flags = 3;
    size_t size = 0;
    MUST(cuCoredumpGetAttributeGlobal(5, NULL, &size));
    TRUE(size == 1024);
    MUST(cuCoredumpGetAttributeGlobal(5, text, &size));
    TRUE(strncmp(text, "core.cuda.", 10) == 0 && size == strlen(text) + 1);
    size = 1;
    MUST(cuCoredumpGetAttributeGlobal(2, &seen, &size));
    TRUE(seen == 1);
    EXPECT(201, cuCoredumpGetAttribute(1, &seen, &size));
    context_on(0);
    MUST(cuCoredumpSetAttributeGlobal(1, &yes, &size));
    MUST(cuCoredumpGetAttribute(1, &seen, &size));
    TRUE(seen == 1);
    yes = 0;
    MUST(cuCoredumpSetAttribute(1, &yes, &size));
    MUST(cuCoredumpGetAttribute(1, &seen, &size));
    TRUE(seen == 0);
    MUST(cuCoredumpGetAttributeGlobal(1, &seen, &size));
    TRUE(seen == 1);
    size = sizeof flags;
    MUST(cuCoredumpSetAttribute(7, &flags, &size));
    flags = 1 << 20;
    EXPECT(1, cuCoredumpSetAttribute(7, &flags, &size));
    MUST(cuCoredumpGetAttribute(7, &flags, &size));
    TRUE(flags == 3);
    size = 5;
    MUST(cuCoredumpSetAttribute(5, "here", &size));
    size = 4;
    EXPECT(1, cuCoredumpGetAttribute(5, text, &size));
    size = sizeof text;
    MUST(cuCoredumpGetAttribute(5, text, &size));
    TRUE(strcmp(text, "here") == 0);
    EXPECT(800, cuCoredumpSetAttribute(6, "pipe", &size));
    yes = 1, size = 1;
    MUST(cuCoredumpSetAttributeGlobal(4, &yes, &size));
    EXPECT(800, cuCoredumpSetAttributeGlobal(6, "pipe", &size));
    EXPECT(1, cuCoredumpGetAttribute(0, &seen, &size));
    EXPECT(1, cuCoredumpGetAttribute(8, &seen, &size));
    EXPECT(1, cuCoredumpGetAttribute(1, &seen, NULL));
}

static void notifications(void) {
    void *handle = NULL;
    MUST(cuDeviceRegisterAsyncNotification(0, told, NULL, &handle));
    TRUE(handle != NULL);
    EXPECT(1, cuDeviceRegisterAsyncNotification(0, NULL, NULL, &handle));
    EXPECT(1, cuDeviceRegisterAsyncNotification(0, told, NULL, NULL));
    EXPECT(101, cuDeviceRegisterAsyncNotification(9, told, NULL, &handle));
    EXPECT(1, cuDeviceUnregisterAsyncNotification(1, handle));
    MUST(cuDeviceUnregisterAsyncNotification(0, handle));
    EXPECT(1, cuDeviceUnregisterAsyncNotification(0, handle));
}

static void atomics(void) {
    int operations[] = {0, 9, 12}, wrong[] = {13};
    unsigned found[3] = {7, 7, 7};
    MUST(cuDeviceGetHostAtomicCapabilities(found, operations, 3, 0));
    TRUE(found[0] == 0 && found[1] == 0 && found[2] == 0);
    MUST(cuDeviceGetP2PAtomicCapabilities(found, operations, 3, 0, 1));
    TRUE((found[0] & 0x18) == 0x18);
    EXPECT(101, cuDeviceGetP2PAtomicCapabilities(found, operations, 3, 0, 0));
    EXPECT(101, cuDeviceGetP2PAtomicCapabilities(found, operations, 3, 0, 9));
    EXPECT(1, cuDeviceGetP2PAtomicCapabilities(found, operations, 0, 0, 1));
    EXPECT(1, cuDeviceGetP2PAtomicCapabilities(found, wrong, 1, 0, 1));
    EXPECT(1, cuDeviceGetP2PAtomicCapabilities(NULL, operations, 3, 0, 1));
    EXPECT(1, cuDeviceGetHostAtomicCapabilities(found, NULL, 3, 0));
}

int main(void) {
    MUST(cuInit(0));
    dumps();
    notifications();
    atomics();
    return 0;
}
