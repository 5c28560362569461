/* `attach COUNT`: how long until COUNT processes, started together, each have a context on device 0. */
#include "probe.h"

typedef struct { volatile int go, ready, refused, end; } Shared;

static void child(Shared *shared) {
    CUcontext context = NULL;
    while (!shared->go) usleep(100);
    driver_load();
    CUresult result = cuInit(0);
    if (!result) result = cuDevicePrimaryCtxRetain(&context, 0);
    if (result) __sync_fetch_and_add(&shared->refused, 1);
    __sync_fetch_and_add(&shared->ready, 1);
    while (!shared->end) usleep(1000);
    _exit(0);
}

int main(int argc, char **argv) {
    int count = argc > 1 ? atoi(argv[1]) : 20;
    Shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (int index = 0; index < count; index++)
        if (fork() == 0) child(shared);
    usleep(100000);
    uint64_t began = now_ns();
    shared->go = 1;
    while (shared->ready < count) usleep(100);
    say("time.attach_ms", "%.1f", (double)(now_ns() - began) / 1e6);
    say("attach.refused", "%d", shared->refused);
    shared->end = 1;
    while (wait(NULL) > 0) continue;
    return 0;
}
