/* One stream waits for a word that another one writes when it is no longer busy; prints how long that took. */
#include <unistd.h>

#include "driver.h"

int main(void) {
    CUstream waits, writes;
    CUevent begin, end;
    CUdeviceptr word;
    float ms = 0;
    context_on(0);
    MUST(cuMemAlloc_v2(&word, 4));
    MUST(cuMemsetD32Async(word, 0, 1, NULL));
    MUST(cuCtxSynchronize());
    MUST(cuStreamCreate(&waits, 1));
    MUST(cuStreamCreate(&writes, 1));
    MUST(cuEventCreate(&begin, 0));
    MUST(cuEventCreate(&end, 0));
    /* Nobody who waits for ever is waited for. */
    alarm(30);
    MUST(cuEventRecord(begin, waits));
    MUST(cuStreamWaitValue32_v2(waits, word, 1, 1));
    MUST(cuEventRecord(end, waits));
    MUST(busy(kernel("busy"), 5000, writes));
    MUST(cuStreamWriteValue32_v2(writes, word, 1, 0));
    MUST(cuStreamSynchronize(waits));
    MUST(cuEventElapsedTime(&ms, begin, end));
    printf("%f\n", ms);
    return 0;
}
