/* Somebody is asked to be suspended and cannot answer, or not at once: `beginner`, `stopped`, `asker_dies`, `leaver` or
 * `pending`. The child is the one who is asked. */
#include "peers.h"

#include <time.h>

CUresult cuDeviceGetCount(int *);

static const unsigned char KEEPSAKES[16] = {0xc6, 0x93, 0x33, 0x6e, 0x11, 0x21, 0xdf, 0x11,
                                            0xa8, 0xc3, 0x68, 0xf3, 0x55, 0xd8, 0x95, 0x93};

typedef void (*leave_fn)(CUcontext, void *, void *);

static int is(char **words, const char *name) {
    return !strcmp(words[1], name);
}

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* A runtime that parts with its context calls the driver, while somebody waits for that call. */
static void leave(CUcontext context, void *key, void *value) {
    int count;
    (void)context, (void)key, (void)value;
    go_on();
    usleep(300000);
    MUST(cuDeviceGetCount(&count));
}

static void asked(char **words) {
    CUcontext context;
    CUstream stream;
    CUdeviceptr word;
    const void *table;
    if (is(words, "beginner")) {
        MUST(cuInit(0));
        go_on();
        pause();
    }
    context = context_on(0);
    MUST(cuStreamCreate(&stream, 1));
    MUST(cuMemAlloc_v2(&word, 4));
    MUST(cuMemsetD32Async(word, 0, 1, stream));
    MUST(cuStreamSynchronize(stream));
    if (is(words, "asker_dies"))
        MUST(cuStreamWaitValue32_v2(stream, word, 1, 1));
    if (is(words, "pending"))
        MUST(busy(kernel("busy"), 5000, stream));
    if (is(words, "leaver")) {
        MUST(cuGetExportTable(&table, KEEPSAKES));
        MUST((*(CUresult(*const *)(CUcontext, size_t, size_t, leave_fn))table)(NULL, 1, 2, leave));
        MUST(cuCtxDestroy_v2(context));
    }
    go_on();
    pause();
}

int main(int count, char **words) {
    CUlockArgs none = {0}, soon = {.timeout_ms = 300};
    int state = 9, status;
    if (count == 3) {
        MUST(cuInit(0));
        MUST(cuCheckpointProcessLock(atoi(words[2]), &none));
        return 0;
    }
    TRUE(count == 2);
    if (split()) {
        asked(words);
        return 0;
    }
    alarm(20);
    wait_for_peer();
    MUST(cuInit(0));
    double before = seconds();
    if (is(words, "stopped")) {
        TRUE(kill(peer, SIGSTOP) == 0 && waitpid(peer, &status, WUNTRACED) == peer);
        EXPECT(600, cuCheckpointProcessLock(peer, &soon));
        TRUE(seconds() - before < 5);
        TRUE(kill(peer, SIGCONT) == 0);
    } else if (is(words, "asker_dies")) {
        pid_t asker = fork();
        if (asker == 0) {
            /* A driver that was started does not survive a fork: another program asks. */
            char pid[16];
            snprintf(pid, sizeof pid, "%d", peer);
            execl(words[0], words[0], "ask", pid, NULL);
        }
        do {
            MUST(cuCheckpointProcessGetState(peer, &state));
        } while (state != 1);
        TRUE(kill(asker, SIGKILL) == 0 && waitpid(asker, &status, 0) == asker);
        EXPECT(600, cuCheckpointProcessLock(peer, &soon));
        do {
            MUST(cuCheckpointProcessGetState(peer, &state));
        } while (state != 0);
        kill_child();
        return 0;
    }
    MUST(cuCheckpointProcessLock(peer, &none));
    MUST(cuCheckpointProcessUnlock(peer, NULL));
    TRUE(seconds() - before < 10);
    kill_child();
    return 0;
}
