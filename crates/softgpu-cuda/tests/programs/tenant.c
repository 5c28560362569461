/* One of many: races through operations of every family that takes memory. Arguments: operations, seed. */
#include "driver.h"

enum { HELD = 24 };

int main(int count, char **words) {
    long left = count > 1 ? atol(words[1]) : 1000;
    uint64_t random = count > 2 ? strtoull(words[2], NULL, 10) * 2654435761u + 1 : 1;
    CUdeviceptr held[HELD] = {0};
    int pooled[HELD] = {0};
    CUstream stream;
    context_on(0);
    CUfunction function = kernel("busy");
    MUST(cuStreamCreate(&stream, 1));
    while (left-- > 0) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        int place = (int)(random >> 33) % HELD;
        size_t bytes = (size_t)(random >> 40) % (4 << 20) + 1;
        if (held[place]) {
            MUST(pooled[place] ? cuMemFreeAsync(held[place], stream) : cuMemFree_v2(held[place]));
            held[place] = 0;
        } else {
            pooled[place] = (random >> 20) & 1;
            int answer = pooled[place] ? cuMemAllocAsync(&held[place], bytes, stream) : cuMemAlloc_v2(&held[place], bytes);
            TRUE(answer == 0 || answer == 2);
        }
        if ((random >> 21) % 8 == 0)
            MUST(busy(function, 1, stream));
        if ((random >> 25) % 64 == 0)
            MUST(cuStreamSynchronize(stream));
    }
    for (int place = 0; place < HELD; place++)
        if (held[place])
            MUST(pooled[place] ? cuMemFreeAsync(held[place], stream) : cuMemFree_v2(held[place]));
    MUST(cuCtxSynchronize());
    return 0;
}
