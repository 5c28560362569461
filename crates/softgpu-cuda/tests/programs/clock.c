/* Prints what events say; on a test clock it is the same each time, to the last digit. */
#include "driver.h"

int main(void) {
    context_on(0);
    CUfunction function = kernel("busy");
    CUstream streams[2];
    CUevent events[6];
    float ms;
    for (int i = 0; i < 2; i++)
        MUST(cuStreamCreate(&streams[i], 1));
    for (int i = 0; i < 6; i++)
        MUST(cuEventCreate(&events[i], 0));
    for (int i = 0; i < 6; i++) {
        MUST(busy(function, 1000 * (uint64_t)(i + 1), streams[i % 2]));
        MUST(cuEventRecord(events[i], streams[i % 2]));
    }
    for (int i = 0; i < 6; i++)
        MUST(cuEventSynchronize(events[i]));
    for (int i = 1; i < 6; i++) {
        MUST(cuEventElapsedTime(&ms, events[0], events[i]));
        printf("%.6f\n", ms);
    }
    return 0;
}
