/* Calls the driver by forms that end in others: the preloaded library sees only what this program calls. */
#define _GNU_SOURCE
#include <dlfcn.h>

#include "driver.h"

CUresult cuMemsetD32_v2(CUdeviceptr, unsigned, size_t);
CUresult cuMemsetD32Async_ptsz(CUdeviceptr, unsigned, size_t, CUstream);
CUresult cuMemAllocPitch_v2(CUdeviceptr *, size_t *, size_t, size_t, unsigned);
CUresult cuMemAllocAsync_ptsz(CUdeviceptr *, size_t, CUstream);

int main(void) {
    int (*calls)(void) = (int (*)(void))dlsym(RTLD_DEFAULT, "preload_calls");
    TRUE(calls != NULL);
    CUcontext context = context_on(0);
    CUdeviceptr at, other;
    size_t pitch;
    void *found = NULL;
    int status;
    MUST(cuMemAllocPitch_v2(&at, &pitch, 100, 100, 4));
    MUST(cuMemsetD32_v2(at, 5, 100));
    MUST(cuMemsetD32Async_ptsz(at, 5, 100, NULL));
    MUST(cuMemAllocAsync_ptsz(&other, 4096, NULL));
    MUST(cuGetProcAddress_v2("cuMemAlloc", &found, 13000, 0, &status));
    TRUE(found != NULL && found != (void *)cuMemAlloc_v2);
    MUST(cuCtxDestroy_v2(context));
    TRUE(calls() == 0);
    EXPECT(709, cuMemAlloc_v2(&at, 1));
    TRUE(calls() == 1);
    return 0;
}
