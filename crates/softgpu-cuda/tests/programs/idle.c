/* Holds contexts on all devices and does nothing; prints the processor time that cost, in microseconds. */
#include <sys/resource.h>
#include <unistd.h>

#include "driver.h"

static long used_us(void) {
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    return (use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1000000L + use.ru_utime.tv_usec + use.ru_stime.tv_usec;
}

int main(void) {
    int count;
    MUST(cuInit(0));
    MUST(cuDeviceGetCount(&count));
    for (int i = 0; i < count; i++)
        MUST(busy((context_on(i), kernel("busy")), 10, NULL));
    MUST(cuCtxSynchronize());
    usleep(200000);
    long before = used_us();
    usleep(500000);
    printf("%d %ld\n", count, used_us() - before);
    return 0;
}
