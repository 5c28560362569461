/* Asks a process: `suspender PID lock|checkpoint|restore|move|unlock|state`; prints the driver's answer. */
#include "driver.h"

int main(int count, char **words) {
    TRUE(count == 3);
    int pid = atoi(words[1]), answer = -1, state = -1;
    const char *what = words[2];
    unsigned char pair[1][2][16];
    CUlockArgs lock = {.timeout_ms = 2000};
    CUrestoreArgs move = {.pairs = (const unsigned char (*)[2][16])pair, .count = 1};
    MUST(cuInit(0));
    if (!strcmp(what, "lock"))
        answer = cuCheckpointProcessLock(pid, &lock);
    if (!strcmp(what, "checkpoint"))
        answer = cuCheckpointProcessCheckpoint(pid, NULL);
    if (!strcmp(what, "restore"))
        answer = cuCheckpointProcessRestore(pid, NULL);
    if (!strcmp(what, "move")) {
        MUST(cuDeviceGetUuid_v2(pair[0][0], 0));
        MUST(cuDeviceGetUuid_v2(pair[0][1], 1));
        answer = cuCheckpointProcessRestore(pid, &move);
    }
    if (!strcmp(what, "unlock"))
        answer = cuCheckpointProcessUnlock(pid, NULL);
    if (!strcmp(what, "state")) {
        MUST(cuCheckpointProcessGetState(pid, &state));
        answer = state;
    }
    printf("%d\n", answer);
    return 0;
}
