/*
 * The few functions of the driver that the test programs call, as its interface defines them.
 */
#ifndef DRIVER_H
#define DRIVER_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int CUresult;
typedef int CUdevice;
typedef uint64_t CUdeviceptr;
typedef struct CUctx_st *CUcontext;
typedef struct CUmod_st *CUmodule;
typedef struct CUfunc_st *CUfunction;
typedef struct CUstream_st *CUstream;
typedef struct CUevent_st *CUevent;
typedef struct CUgraph_st *CUgraph;
typedef struct CUgraphExec_st *CUgraphExec;
typedef struct {
    char bytes[64];
} CUipcMemHandle;
typedef struct {
    unsigned timeout_ms, reserved;
    uint64_t spare[7];
} CUlockArgs;
typedef struct {
    const unsigned char (*pairs)[2][16];
    unsigned count;
    char reserved[44];
    uint64_t spare;
} CUrestoreArgs;

CUresult cuInit(unsigned);
CUresult cuDeviceGet(CUdevice *, int);
CUresult cuDeviceGetCount(int *);
CUresult cuDeviceGetUuid_v2(unsigned char *, CUdevice);
CUresult cuCtxCreate_v2(CUcontext *, unsigned, CUdevice);
CUresult cuCtxDestroy_v2(CUcontext);
CUresult cuCtxSynchronize(void);
CUresult cuMemAlloc_v2(CUdeviceptr *, size_t);
CUresult cuMemAllocManaged(CUdeviceptr *, size_t, unsigned);
CUresult cuMemAllocAsync(CUdeviceptr *, size_t, CUstream);
CUresult cuMemFreeAsync(CUdeviceptr, CUstream);
CUresult cuMemFree_v2(CUdeviceptr);
CUresult cuMemGetInfo_v2(size_t *, size_t *);
CUresult cuMemcpyHtoD_v2(CUdeviceptr, const void *, size_t);
CUresult cuMemcpyDtoH_v2(void *, CUdeviceptr, size_t);
CUresult cuMemsetD32Async(CUdeviceptr, unsigned, size_t, CUstream);
CUresult cuModuleLoadData(CUmodule *, const void *);
CUresult cuModuleGetFunction(CUfunction *, CUmodule, const char *);
CUresult cuLaunchKernel(CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, CUstream,
                        void **, void **);
CUresult cuStreamCreate(CUstream *, unsigned);
CUresult cuStreamSynchronize(CUstream);
CUresult cuStreamDestroy_v2(CUstream);
CUresult cuStreamBeginCapture_v2(CUstream, unsigned);
CUresult cuStreamEndCapture(CUstream, CUgraph *);
CUresult cuGraphInstantiateWithFlags(CUgraphExec *, CUgraph, unsigned long long);
CUresult cuGraphLaunch(CUgraphExec, CUstream);
CUresult cuStreamWriteValue32_v2(CUstream, CUdeviceptr, unsigned, unsigned);
CUresult cuStreamWaitValue32_v2(CUstream, CUdeviceptr, unsigned, unsigned);
CUresult cuEventCreate(CUevent *, unsigned);
CUresult cuEventRecord(CUevent, CUstream);
CUresult cuEventSynchronize(CUevent);
CUresult cuEventElapsedTime(float *, CUevent, CUevent);
CUresult cuIpcGetMemHandle(CUipcMemHandle *, CUdeviceptr);
CUresult cuIpcOpenMemHandle_v2(CUdeviceptr *, CUipcMemHandle, unsigned);
CUresult cuIpcCloseMemHandle(CUdeviceptr);
CUresult cuGetProcAddress_v2(const char *, void **, int, uint64_t, int *);
CUresult cuGetExportTable(const void **, const void *);
CUresult cuGLInit(void);
CUresult cuCheckpointProcessGetState(int, int *);
CUresult cuCheckpointProcessLock(int, CUlockArgs *);
CUresult cuCheckpointProcessCheckpoint(int, void *);
CUresult cuCheckpointProcessRestore(int, CUrestoreArgs *);
CUresult cuCheckpointProcessUnlock(int, void *);

/* The kernels that are built in, as an image names them. */
static const char IMAGE[] = ".version 8.0\n.target sm_70\n.address_size 64\n"
                            ".visible .entry busy(.param .u64 us) { ret; }\n"
                            ".visible .entry fill(.param .u64 p, .param .u32 v, .param .u64 n) { ret; }\n"
                            ".visible .entry saxpy(.param .u64 n, .param .f32 a, .param .u64 x, .param .u64 y) { ret; }\n"
                            ".visible .entry matmul(.param .u64 n, .param .u64 a, .param .u64 b, .param .u64 c) { ret; }\n"
                            ".visible .entry stranger() { ret; }\n";

/* Ends the program with the line and the code if a call does not answer what it should. */
#define EXPECT(code, call)                                                                                             \
    do {                                                                                                               \
        int answer = (call);                                                                                           \
        if (answer != (code)) {                                                                                        \
            fprintf(stderr, "%s:%d: %s answers %d, not %d\n", __FILE__, __LINE__, #call, answer, (code));              \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)
#define MUST(call) EXPECT(0, call)
#define TRUE(claim)                                                                                                    \
    do {                                                                                                               \
        if (!(claim)) {                                                                                                \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #claim);                                        \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

static inline CUfunction kernel(const char *name) {
    CUmodule module;
    CUfunction function;
    MUST(cuModuleLoadData(&module, IMAGE));
    MUST(cuModuleGetFunction(&function, module, name));
    return function;
}

static inline CUcontext context_on(int ordinal) {
    CUcontext context;
    CUdevice device;
    MUST(cuInit(0));
    MUST(cuDeviceGet(&device, ordinal));
    MUST(cuCtxCreate_v2(&context, 0, device));
    return context;
}

static inline int busy(CUfunction function, uint64_t us, CUstream stream) {
    void *arguments[] = {&us};
    return cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, stream, arguments, NULL);
}

#endif
