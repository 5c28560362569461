/* Loaded before the driver under its names: counts who calls. The driver must not call itself through here. */
#define _GNU_SOURCE
#include <dlfcn.h>

#include "driver.h"

static int calls;

int preload_calls(void) { return calls; }

#define REAL(name, ...)                                                                                                \
    calls++;                                                                                                           \
    return ((__typeof__(&name))dlsym(RTLD_NEXT, #name))(__VA_ARGS__)

CUresult cuMemAlloc_v2(CUdeviceptr *at, size_t bytes) { REAL(cuMemAlloc_v2, at, bytes); }
CUresult cuMemFree_v2(CUdeviceptr at) { REAL(cuMemFree_v2, at); }
CUresult cuCtxSynchronize(void) { REAL(cuCtxSynchronize); }
CUresult cuStreamSynchronize(CUstream stream) { REAL(cuStreamSynchronize, stream); }
CUresult cuMemsetD32Async(CUdeviceptr at, unsigned value, size_t count, CUstream stream) {
    REAL(cuMemsetD32Async, at, value, count, stream);
}
CUresult cuMemAllocAsync(CUdeviceptr *at, size_t bytes, CUstream stream) { REAL(cuMemAllocAsync, at, bytes, stream); }
