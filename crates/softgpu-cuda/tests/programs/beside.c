/* Two streams with a kernel of 10 ms each: prints how long both take together, with few blocks and with many. */
#include "driver.h"

static float both_ms(CUfunction function, unsigned blocks, CUstream first, CUstream second) {
    CUevent begin, ends[2];
    uint64_t us = 10000;
    void *arguments[] = {&us};
    float ms[2];
    MUST(cuEventCreate(&begin, 0));
    MUST(cuEventCreate(&ends[0], 0));
    MUST(cuEventCreate(&ends[1], 0));
    MUST(cuEventRecord(begin, first));
    MUST(cuLaunchKernel(function, blocks, 1, 1, 32, 1, 1, 0, first, arguments, NULL));
    MUST(cuEventRecord(ends[0], first));
    MUST(cuLaunchKernel(function, blocks, 1, 1, 32, 1, 1, 0, second, arguments, NULL));
    MUST(cuEventRecord(ends[1], second));
    MUST(cuCtxSynchronize());
    for (int index = 0; index < 2; index++) MUST(cuEventElapsedTime(&ms[index], begin, ends[index]));
    return ms[0] > ms[1] ? ms[0] : ms[1];
}

int main(void) {
    CUstream first, second;
    context_on(0);
    CUfunction function = kernel("busy");
    MUST(cuStreamCreate(&first, 1));
    MUST(cuStreamCreate(&second, 1));
    printf("few %.1f\n", both_ms(function, 1, first, second));
    printf("many %.1f\n", both_ms(function, 4096, first, second));
    return 0;
}
