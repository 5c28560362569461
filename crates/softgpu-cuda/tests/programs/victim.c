/* Answers each line it reads with the code of one call: what a program sees of a device that somebody breaks. */
#include "driver.h"

CUresult cuStreamQuery(CUstream);

int main(void) {
    char line[32];
    CUdeviceptr at = 0;
    CUstream stream = NULL;
    CUcontext context = NULL;
    CUdevice device = 0;
    size_t free_bytes = 0, total = 0;
    CUfunction function = NULL;
    while (fgets(line, sizeof line, stdin)) {
        int code = -1;
        line[strcspn(line, "\n")] = 0;
        if (!strcmp(line, "init")) code = cuInit(0);
        if (!strcmp(line, "context")) {
            code = cuDeviceGet(&device, 0);
            if (!code) code = cuCtxCreate_v2(&context, 0, device);
            if (!code) code = cuStreamCreate(&stream, 1);
            if (!code) function = kernel("busy");
        }
        if (!strcmp(line, "launch")) code = busy(function, 1000, stream);
        if (!strcmp(line, "query")) code = cuStreamQuery(stream);
        if (!strcmp(line, "wait")) code = cuStreamSynchronize(stream);
        if (!strcmp(line, "alloc")) code = cuMemAlloc_v2(&at, 8 << 20);
        if (!strcmp(line, "free")) code = cuMemFree_v2(at);
        if (!strcmp(line, "info")) code = cuMemGetInfo_v2(&free_bytes, &total);
        if (!strcmp(line, "destroy")) code = cuCtxDestroy_v2(context);
        printf("%d\n", code);
        fflush(stdout);
    }
    return 0;
}
