/* How long calls take: prints one `name nanoseconds` line for each, the best of several rounds. */
#include <time.h>

#include "driver.h"

static double now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1e9 + time.tv_nsec;
}

enum { ROUNDS = 20, CALLS = 1000 };

int main(void) {
    context_on(0);
    CUfunction function = kernel("busy");
    double clock = 1e18, launch = 1e18, small = 1e18, large = 1e18;
    for (int round = 0; round < ROUNDS; round++) {
        double began = now_ns();
        for (int call = 0; call < CALLS; call++)
            MUST(busy(function, 1, NULL));
        double each = (now_ns() - began) / CALLS;
        launch = each < launch ? each : launch;
        MUST(cuCtxSynchronize());
    }
    for (int round = 0; round < ROUNDS; round++) {
        double began = now_ns(), each;
        for (int call = 0; call < CALLS; call++)
            each = now_ns() - began;
        each /= CALLS;
        clock = each < clock ? each : clock;
    }
    CUdeviceptr at[CALLS];
    size_t sizes[] = {4096, 4 << 20};
    double *best[] = {&small, &large};
    for (int kind = 0; kind < 2; kind++)
        for (int round = 0; round < ROUNDS; round++) {
            double began = now_ns();
            for (int call = 0; call < CALLS; call++)
                MUST(cuMemAlloc_v2(&at[call], sizes[kind]));
            double each = (now_ns() - began) / CALLS;
            *best[kind] = each < *best[kind] ? each : *best[kind];
            for (int call = 0; call < CALLS; call++)
                MUST(cuMemFree_v2(at[call]));
        }
    printf("clock %.0f\nlaunch %.0f\nalloc_4_kib %.0f\nalloc_4_mib %.0f\n", clock, launch, small, large);
    return 0;
}
