/* A program where shared memory runs out: it is refused what it asks for, and lives on. Prints `refused WHAT CODE`. */
#include "probe.h"

typedef struct { char bytes[64]; } Name;

int main(void) {
    CUcontext context = NULL;
    CUdeviceptr at = 0;
    Name name;
    driver_load();
    CUresult (*ipc)(void *, CUdeviceptr) = (CUresult(*)(void *, CUdeviceptr))dlsym(driver_library, "cuIpcGetMemHandle");
    CUresult result = cuInit(0);
    if (result) {
        printf("refused init %d\n", result);
        return 0;
    }
    must(cuDevicePrimaryCtxRetain(&context, 0));
    must(cuCtxSetCurrent(context));
    must(cuMemAlloc_v2(&at, 64 << 20));
    must(cuMemsetD8_v2(at, 7, 64 << 20));
    for (int turn = 0; turn < 3; turn++) printf("refused export %d\n", ipc(&name, at));
    char byte = 0;
    must(cuMemcpyDtoH_v2(&byte, at + (64 << 20) - 1, 1));
    if (byte != 7) return 1;
    for (int count = 0; count < 2000 && !result; count++) result = cuCtxCreate_v2(&context, 0, count % 8);
    printf("refused context %d\n", result);
    must(cuCtxSetCurrent(context));
    must(launch1(kernel("busy"), 10, NULL));
    must(cuCtxSynchronize());
    must(cuMemFree_v2(at));
    puts("done");
    return 0;
}
