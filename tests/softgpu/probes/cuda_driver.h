/* The part of the CUDA driver's binary interface that the probes speak, written from its documented facts.
 *
 * Every function is a pointer of the function's own name, filled by `driver_load` from the library under test;
 * one that the library lacks stays NULL and is said so. Names carry the version suffix of the symbol itself.
 */
#ifndef FASTGPU_CUDA_DRIVER_H
#define FASTGPU_CUDA_DRIVER_H

#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>

typedef int CUresult;
typedef int CUdevice;
typedef unsigned long long CUdeviceptr;
typedef struct context_opaque *CUcontext;
typedef struct module_opaque *CUmodule;
typedef struct library_opaque *CUlibrary;
typedef struct kernel_opaque *CUkernel;
typedef struct function_opaque *CUfunction;
typedef struct stream_opaque *CUstream;
typedef struct event_opaque *CUevent;
typedef struct pool_opaque *CUmemoryPool;
typedef struct array_opaque *CUarray;
typedef struct graph_opaque *CUgraph;
typedef struct node_opaque *CUgraphNode;
typedef struct exec_opaque *CUgraphExec;
typedef unsigned long long CUmemHandle;
typedef struct { unsigned char bytes[16]; } CUuuid;
typedef void (*CUhostFn)(void *);

typedef struct { int type, id; } CUlocation;

typedef struct {
    int alloc_type, handle_types;
    CUlocation location;
    void *security;
    size_t max_size;
    unsigned short usage;
    unsigned char reserved[54];
} CUpoolProps;

typedef struct {
    int type, handle_types;
    CUlocation location;
    void *meta;
    unsigned char compression, rdma;
    unsigned short usage;
    unsigned char reserved[4];
} CUallocProp;

typedef struct { CUlocation location; int flags; } CUaccessDesc;

typedef struct { size_t width, height; int format; unsigned channels; } CUarrayDesc;
typedef struct { size_t width, height, depth; int format; unsigned channels, flags; } CUarray3DDesc;

typedef struct {
    size_t src_x, src_y;
    int src_type;
    const void *src_host;
    CUdeviceptr src_device;
    CUarray src_array;
    size_t src_pitch, dst_x, dst_y;
    int dst_type;
    void *dst_host;
    CUdeviceptr dst_device;
    CUarray dst_array;
    size_t dst_pitch, width, height;
} CUcopy2D;

typedef struct {
    size_t src_x, src_y, src_z, src_lod;
    int src_type;
    const void *src_host;
    CUdeviceptr src_device;
    CUarray src_array;
    void *reserved0;
    size_t src_pitch, src_height, dst_x, dst_y, dst_z, dst_lod;
    int dst_type;
    void *dst_host;
    CUdeviceptr dst_device;
    CUarray dst_array;
    void *reserved1;
    size_t dst_pitch, dst_height, width, height, depth;
} CUcopy3D;

typedef struct {
    CUdeviceptr dst;
    size_t pitch;
    unsigned value, element_size;
    size_t width, height;
} CUmemsetNode;

typedef struct {
    CUpoolProps pool;
    const CUaccessDesc *access;
    size_t access_count, bytes;
    CUdeviceptr ptr;
} CUallocNode;

typedef struct {
    unsigned grid_x, grid_y, grid_z, block_x, block_y, block_z, shared_bytes;
    CUstream stream;
    void *attributes;
    unsigned attribute_count;
} CUlaunchConfig;

typedef struct { void *affinity; int affinity_count; void *graphics; } CUctxParams;
typedef struct { char reserved[64]; } CUipcHandle;
typedef struct { unsigned timeout_ms, reserved0; uint64_t reserved1[7]; } CUlockArgs;
typedef struct { CUuuid from, to; } CUgpuPair;
typedef struct { CUgpuPair *pairs; unsigned count; char reserved[44]; uint64_t reserved1; } CUrestoreArgs;

#define CU_STREAM_LEGACY ((CUstream)1)
#define CU_STREAM_PER_THREAD ((CUstream)2)

#define DRIVER_FUNCTIONS(X) \
    X(cuInit, (unsigned)) \
    X(cuDriverGetVersion, (int *)) \
    X(cuGetErrorName, (CUresult, const char **)) \
    X(cuGetErrorString, (CUresult, const char **)) \
    X(cuGetProcAddress_v2, (const char *, void **, int, uint64_t, int *)) \
    X(cuGetProcAddress, (const char *, void **, int, uint64_t)) \
    X(cuGetExportTable, (const void **, const CUuuid *)) \
    X(cuDeviceGet, (CUdevice *, int)) \
    X(cuDeviceGetCount, (int *)) \
    X(cuDeviceGetName, (char *, int, CUdevice)) \
    X(cuDeviceGetUuid_v2, (CUuuid *, CUdevice)) \
    X(cuDeviceGetLuid, (char *, unsigned *, CUdevice)) \
    X(cuDeviceTotalMem_v2, (size_t *, CUdevice)) \
    X(cuDeviceGetAttribute, (int *, int, CUdevice)) \
    X(cuDeviceGetPCIBusId, (char *, int, CUdevice)) \
    X(cuDeviceGetByPCIBusId, (CUdevice *, const char *)) \
    X(cuDeviceComputeCapability, (int *, int *, CUdevice)) \
    X(cuDeviceCanAccessPeer, (int *, CUdevice, CUdevice)) \
    X(cuDeviceGetP2PAttribute, (int *, int, CUdevice, CUdevice)) \
    X(cuDeviceGetExecAffinitySupport, (int *, int, CUdevice)) \
    X(cuDeviceGetTexture1DLinearMaxWidth, (size_t *, int, unsigned, CUdevice)) \
    X(cuDevicePrimaryCtxRetain, (CUcontext *, CUdevice)) \
    X(cuDevicePrimaryCtxRelease_v2, (CUdevice)) \
    X(cuDevicePrimaryCtxReset_v2, (CUdevice)) \
    X(cuDevicePrimaryCtxGetState, (CUdevice, unsigned *, int *)) \
    X(cuDevicePrimaryCtxSetFlags_v2, (CUdevice, unsigned)) \
    X(cuCtxCreate_v2, (CUcontext *, unsigned, CUdevice)) \
    X(cuCtxCreate_v4, (CUcontext *, CUctxParams *, unsigned, CUdevice)) \
    X(cuCtxDestroy_v2, (CUcontext)) \
    X(cuCtxSetCurrent, (CUcontext)) \
    X(cuCtxGetCurrent, (CUcontext *)) \
    X(cuCtxPushCurrent_v2, (CUcontext)) \
    X(cuCtxPopCurrent_v2, (CUcontext *)) \
    X(cuCtxGetDevice, (CUdevice *)) \
    X(cuCtxGetFlags, (unsigned *)) \
    X(cuCtxGetId, (CUcontext, unsigned long long *)) \
    X(cuCtxGetApiVersion, (CUcontext, unsigned *)) \
    X(cuCtxGetLimit, (size_t *, int)) \
    X(cuCtxSetLimit, (int, size_t)) \
    X(cuCtxGetCacheConfig, (int *)) \
    X(cuCtxGetSharedMemConfig, (int *)) \
    X(cuCtxGetStreamPriorityRange, (int *, int *)) \
    X(cuCtxSynchronize, (void)) \
    X(cuCtxEnablePeerAccess, (CUcontext, unsigned)) \
    X(cuModuleLoadData, (CUmodule *, const void *)) \
    X(cuModuleLoad, (CUmodule *, const char *)) \
    X(cuModuleUnload, (CUmodule)) \
    X(cuModuleGetFunction, (CUfunction *, CUmodule, const char *)) \
    X(cuModuleGetFunctionCount, (unsigned *, CUmodule)) \
    X(cuModuleGetGlobal_v2, (CUdeviceptr *, size_t *, CUmodule, const char *)) \
    X(cuModuleGetLoadingMode, (int *)) \
    X(cuLibraryLoadData, (CUlibrary *, const void *, void *, void *, unsigned, void *, void *, unsigned)) \
    X(cuLibraryUnload, (CUlibrary)) \
    X(cuLibraryGetKernel, (CUkernel *, CUlibrary, const char *)) \
    X(cuLibraryGetKernelCount, (unsigned *, CUlibrary)) \
    X(cuKernelGetFunction, (CUfunction *, CUkernel)) \
    X(cuKernelGetName, (const char **, CUkernel)) \
    X(cuFuncGetAttribute, (int *, int, CUfunction)) \
    X(cuFuncGetName, (const char **, CUfunction)) \
    X(cuFuncIsLoaded, (int *, CUfunction)) \
    X(cuFuncGetParamInfo, (CUfunction, size_t, size_t *, size_t *)) \
    X(cuOccupancyMaxActiveBlocksPerMultiprocessor, (int *, CUfunction, int, size_t)) \
    X(cuLaunchKernel, (CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, CUstream, void **, void **)) \
    X(cuLaunchKernel_ptsz, (CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, CUstream, void **, void **)) \
    X(cuLaunchCooperativeKernel, (CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, CUstream, void **)) \
    X(cuLaunchKernelEx, (const CUlaunchConfig *, CUfunction, void **, void **)) \
    X(cuLaunchHostFunc, (CUstream, CUhostFn, void *)) \
    X(cuMemGetInfo_v2, (size_t *, size_t *)) \
    X(cuMemAlloc_v2, (CUdeviceptr *, size_t)) \
    X(cuMemAllocPitch_v2, (CUdeviceptr *, size_t *, size_t, size_t, unsigned)) \
    X(cuMemAllocManaged, (CUdeviceptr *, size_t, unsigned)) \
    X(cuMemFree_v2, (CUdeviceptr)) \
    X(cuMemGetAddressRange_v2, (CUdeviceptr *, size_t *, CUdeviceptr)) \
    X(cuMemAllocHost_v2, (void **, size_t)) \
    X(cuMemHostAlloc, (void **, size_t, unsigned)) \
    X(cuMemHostRegister_v2, (void *, size_t, unsigned)) \
    X(cuMemHostUnregister, (void *)) \
    X(cuMemHostGetDevicePointer_v2, (CUdeviceptr *, void *, unsigned)) \
    X(cuMemHostGetFlags, (unsigned *, void *)) \
    X(cuMemFreeHost, (void *)) \
    X(cuMemcpy, (CUdeviceptr, CUdeviceptr, size_t)) \
    X(cuMemcpyHtoD_v2, (CUdeviceptr, const void *, size_t)) \
    X(cuMemcpyDtoH_v2, (void *, CUdeviceptr, size_t)) \
    X(cuMemcpyDtoD_v2, (CUdeviceptr, CUdeviceptr, size_t)) \
    X(cuMemcpyAsync, (CUdeviceptr, CUdeviceptr, size_t, CUstream)) \
    X(cuMemcpyHtoDAsync_v2, (CUdeviceptr, const void *, size_t, CUstream)) \
    X(cuMemcpyDtoHAsync_v2, (void *, CUdeviceptr, size_t, CUstream)) \
    X(cuMemcpy2D_v2, (const CUcopy2D *)) \
    X(cuMemcpy3D_v2, (const CUcopy3D *)) \
    X(cuMemsetD8_v2, (CUdeviceptr, unsigned char, size_t)) \
    X(cuMemsetD16_v2, (CUdeviceptr, unsigned short, size_t)) \
    X(cuMemsetD32_v2, (CUdeviceptr, unsigned, size_t)) \
    X(cuMemsetD2D32_v2, (CUdeviceptr, size_t, unsigned, size_t, size_t)) \
    X(cuMemsetD8Async, (CUdeviceptr, unsigned char, size_t, CUstream)) \
    X(cuMemPrefetchAsync_v2, (CUdeviceptr, size_t, CUlocation, unsigned, CUstream)) \
    X(cuPointerGetAttribute, (void *, int, CUdeviceptr)) \
    X(cuPointerGetAttributes, (unsigned, int *, void **, CUdeviceptr)) \
    X(cuPointerSetAttribute, (const void *, int, CUdeviceptr)) \
    X(cuArrayCreate_v2, (CUarray *, const CUarrayDesc *)) \
    X(cuArray3DCreate_v2, (CUarray *, const CUarray3DDesc *)) \
    X(cuArrayGetDescriptor_v2, (CUarrayDesc *, CUarray)) \
    X(cuArrayDestroy, (CUarray)) \
    X(cuIpcGetMemHandle, (CUipcHandle *, CUdeviceptr)) \
    X(cuIpcOpenMemHandle_v2, (CUdeviceptr *, CUipcHandle, unsigned)) \
    X(cuIpcCloseMemHandle, (CUdeviceptr)) \
    X(cuIpcGetEventHandle, (CUipcHandle *, CUevent)) \
    X(cuIpcOpenEventHandle, (CUevent *, CUipcHandle)) \
    X(cuMemAllocAsync, (CUdeviceptr *, size_t, CUstream)) \
    X(cuMemAllocFromPoolAsync, (CUdeviceptr *, size_t, CUmemoryPool, CUstream)) \
    X(cuMemFreeAsync, (CUdeviceptr, CUstream)) \
    X(cuMemPoolCreate, (CUmemoryPool *, const CUpoolProps *)) \
    X(cuMemPoolDestroy, (CUmemoryPool)) \
    X(cuMemPoolTrimTo, (CUmemoryPool, size_t)) \
    X(cuMemPoolGetAttribute, (CUmemoryPool, int, void *)) \
    X(cuMemPoolSetAttribute, (CUmemoryPool, int, void *)) \
    X(cuMemPoolGetAccess, (int *, CUmemoryPool, CUlocation *)) \
    X(cuMemPoolExportToShareableHandle, (void *, CUmemoryPool, int, unsigned long long)) \
    X(cuDeviceGetDefaultMemPool, (CUmemoryPool *, CUdevice)) \
    X(cuDeviceGetMemPool, (CUmemoryPool *, CUdevice)) \
    X(cuDeviceSetMemPool, (CUdevice, CUmemoryPool)) \
    X(cuMemGetAllocationGranularity, (size_t *, const CUallocProp *, int)) \
    X(cuMemGetAllocationPropertiesFromHandle, (CUallocProp *, CUmemHandle)) \
    X(cuMemCreate, (CUmemHandle *, size_t, const CUallocProp *, unsigned long long)) \
    X(cuMemRelease, (CUmemHandle)) \
    X(cuMemRetainAllocationHandle, (CUmemHandle *, void *)) \
    X(cuMemAddressReserve, (CUdeviceptr *, size_t, size_t, CUdeviceptr, unsigned long long)) \
    X(cuMemAddressFree, (CUdeviceptr, size_t)) \
    X(cuMemMap, (CUdeviceptr, size_t, size_t, CUmemHandle, unsigned long long)) \
    X(cuMemUnmap, (CUdeviceptr, size_t)) \
    X(cuMemSetAccess, (CUdeviceptr, size_t, const CUaccessDesc *, size_t)) \
    X(cuMemGetAccess, (unsigned long long *, const CUlocation *, CUdeviceptr)) \
    X(cuMemExportToShareableHandle, (void *, CUmemHandle, int, unsigned long long)) \
    X(cuMemImportFromShareableHandle, (CUmemHandle *, void *, int)) \
    X(cuStreamCreate, (CUstream *, unsigned)) \
    X(cuStreamCreateWithPriority, (CUstream *, unsigned, int)) \
    X(cuStreamDestroy_v2, (CUstream)) \
    X(cuStreamQuery, (CUstream)) \
    X(cuStreamSynchronize, (CUstream)) \
    X(cuStreamWaitEvent, (CUstream, CUevent, unsigned)) \
    X(cuStreamGetFlags, (CUstream, unsigned *)) \
    X(cuStreamGetPriority, (CUstream, int *)) \
    X(cuStreamGetId, (CUstream, unsigned long long *)) \
    X(cuStreamGetCtx, (CUstream, CUcontext *)) \
    X(cuStreamWriteValue32_v2, (CUstream, CUdeviceptr, unsigned, unsigned)) \
    X(cuStreamWaitValue32_v2, (CUstream, CUdeviceptr, unsigned, unsigned)) \
    X(cuStreamBeginCapture_v2, (CUstream, int)) \
    X(cuStreamEndCapture, (CUstream, CUgraph *)) \
    X(cuStreamIsCapturing, (CUstream, int *)) \
    X(cuThreadExchangeStreamCaptureMode, (int *)) \
    X(cuEventCreate, (CUevent *, unsigned)) \
    X(cuEventRecord, (CUevent, CUstream)) \
    X(cuEventQuery, (CUevent)) \
    X(cuEventSynchronize, (CUevent)) \
    X(cuEventElapsedTime, (float *, CUevent, CUevent)) \
    X(cuEventElapsedTime_v2, (float *, CUevent, CUevent)) \
    X(cuEventDestroy_v2, (CUevent)) \
    X(cuGraphCreate, (CUgraph *, unsigned)) \
    X(cuGraphDestroy, (CUgraph)) \
    X(cuGraphGetNodes, (CUgraph, CUgraphNode *, size_t *)) \
    X(cuGraphNodeGetType, (CUgraphNode, int *)) \
    X(cuGraphAddEmptyNode, (CUgraphNode *, CUgraph, const CUgraphNode *, size_t)) \
    X(cuGraphAddMemcpyNode, (CUgraphNode *, CUgraph, const CUgraphNode *, size_t, const CUcopy3D *, CUcontext)) \
    X(cuGraphAddMemsetNode, (CUgraphNode *, CUgraph, const CUgraphNode *, size_t, const CUmemsetNode *, CUcontext)) \
    X(cuGraphAddMemAllocNode, (CUgraphNode *, CUgraph, const CUgraphNode *, size_t, CUallocNode *)) \
    X(cuGraphAddMemFreeNode, (CUgraphNode *, CUgraph, const CUgraphNode *, size_t, CUdeviceptr)) \
    X(cuGraphInstantiateWithFlags, (CUgraphExec *, CUgraph, unsigned long long)) \
    X(cuGraphUpload, (CUgraphExec, CUstream)) \
    X(cuGraphLaunch, (CUgraphExec, CUstream)) \
    X(cuGraphExecDestroy, (CUgraphExec)) \
    X(cuDeviceGetGraphMemAttribute, (CUdevice, int, void *)) \
    X(cuDeviceGraphMemTrim, (CUdevice)) \
    X(cuCheckpointProcessGetRestoreThreadId, (int, int *)) \
    X(cuCheckpointProcessGetState, (int, int *)) \
    X(cuCheckpointProcessLock, (int, CUlockArgs *)) \
    X(cuCheckpointProcessCheckpoint, (int, void *)) \
    X(cuCheckpointProcessRestore, (int, CUrestoreArgs *)) \
    X(cuCheckpointProcessUnlock, (int, void *))

#define DECLARE_POINTER(name, arguments) __attribute__((unused)) static CUresult(*name) arguments;
DRIVER_FUNCTIONS(DECLARE_POINTER)
#undef DECLARE_POINTER

#endif
