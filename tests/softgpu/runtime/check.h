/* What the programs against the CUDA runtime share: expectations that name themselves, and a last line with a count. */
#ifndef FASTGPU_CHECK_H
#define FASTGPU_CHECK_H

#include <cuda_runtime_api.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../expect.h"

#define MIB ((size_t)1 << 20)

/* A call that must answer `wanted`. */
#define answers(call, wanted)                                                                                          \
    do {                                                                                                               \
        cudaError_t answers_got = (call);                                                                              \
        expectations++;                                                                                                \
        if (answers_got != (wanted))                                                                                   \
            failures++, printf("%s:%d: %s answers %d (%s), not %d\n", __FILE__, __LINE__, #call, (int)answers_got,     \
                               cudaGetErrorName(answers_got), (int)(wanted));                                          \
    } while (0)

#define works(call) answers(call, cudaSuccess)

/* With the word `refused`: the driver does not vouch for itself, and the runtime must say so and go on living. */
__attribute__((unused)) static int refused(int count, char **words) {
    int devices = -1, version = 0;
    void *device = NULL;
    if (count < 2 || strcmp(words[1], "refused") != 0) return 0;
    works(cudaRuntimeGetVersion(&version));
    works(cudaDriverGetVersion(&version));
    expect(version == 13000);
    answers(cudaGetDeviceCount(&devices), cudaErrorInvalidValue);
    answers(cudaMalloc(&device, 4096), cudaErrorInvalidValue);
    answers(cudaDeviceSynchronize(), cudaErrorInvalidValue);
    if (!failures) puts("refused in order");
    return 1;
}

__attribute__((unused)) static size_t free_bytes(void) {
    size_t free_now = 0, total = 0;
    works(cudaMemGetInfo(&free_now, &total));
    return free_now;
}

#endif
