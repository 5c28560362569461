/* Two and three processes on one device: how long each runs before the other does, what a switch costs,
 * and what each is slowed down by the rest. `slices gaps` asks a kernel itself, which only real hardware can answer. */
#include "probe.h"

enum { ROUNDS = 300, PROCESSES_MAX = 4, ROOM = 4096 };

typedef struct {
    volatile int ready, go;
    double elapsed_us[PROCESSES_MAX][ROUNDS];
    double wall_ms[PROCESSES_MAX];
    uint64_t gap[PROCESSES_MAX][ROOM][2];
} Shared;

static void wait_for_all(Shared *shared, int processes) {
    __sync_fetch_and_add(&shared->ready, 1);
    while (shared->ready < processes) usleep(50);
}

/* ROUNDS kernels of fixed work of about 500 µs, an event before and after each. */
static void work(Shared *shared, int self, int processes, uint64_t rounds) {
    CUstream stream = NULL;
    static CUevent event[ROUNDS + 1];
    start();
    CUfunction spin = kernel("spin");
    must(cuStreamCreate(&stream, 1));
    for (int index = 0; index <= ROUNDS; index++) must(cuEventCreate(&event[index], 0));
    must(launch1(spin, 1000, stream));
    must(cuStreamSynchronize(stream));
    wait_for_all(shared, processes);
    uint64_t began = now_ns();
    must(cuEventRecord(event[0], stream));
    for (int index = 0; index < ROUNDS; index++) {
        must(launch1(spin, rounds, stream));
        must(cuEventRecord(event[index + 1], stream));
    }
    must(cuStreamSynchronize(stream));
    shared->wall_ms[self] = (double)(now_ns() - began) / 1e6;
    for (int index = 0; index < ROUNDS; index++) {
        float ms = 0;
        must(cuEventElapsedTime(&ms, event[index], event[index + 1]));
        shared->elapsed_us[self][index] = (double)ms * 1e3;
    }
}

static void watch(Shared *shared, int self, int processes) {
    CUdeviceptr out = 0;
    start();
    CUfunction gaps = kernel("gaps");
    must(cuMemAlloc_v2(&out, sizeof shared->gap[self]));
    must(cuMemsetD8_v2(out, 0, sizeof shared->gap[self]));
    must(cuCtxSynchronize());
    wait_for_all(shared, processes);
    uint64_t room = ROOM, ns = 1000000000;
    void *arguments[] = {&out, &room, &ns};
    must(cuLaunchKernel(gaps, 1, 1, 1, 1, 1, 1, 0, NULL, arguments, NULL));
    must(cuCtxSynchronize());
    must(cuMemcpyDtoH_v2(shared->gap[self], out, sizeof shared->gap[self]));
}

static void run(Shared *shared, int processes, uint64_t rounds, int gaps) {
    pid_t children[PROCESSES_MAX];
    memset(shared, 0, sizeof *shared);
    for (int self = 0; self < processes; self++) {
        children[self] = fork();
        if (children[self] == 0) {
            if (gaps) watch(shared, self, processes);
            else work(shared, self, processes, rounds);
            _exit(0);
        }
    }
    for (int self = 0; self < processes; self++) waitpid(children[self], NULL, 0);
}

static void tell_gaps(Shared *shared, int processes) {
    static double away[ROOM], here[ROOM];
    char name[64];
    int count = 0, stays = 0;
    for (int index = 0; index < ROOM && shared->gap[0][index][1]; index++) {
        double us = (double)(shared->gap[0][index][1] - shared->gap[0][index][0]) / 1e3;
        away[count++] = us;
        if (index) here[stays++] = (double)(shared->gap[0][index][0] - shared->gap[0][index - 1][1]) / 1e3;
    }
    snprintf(name, sizeof name, "slice.%d.pauses", processes), say(name, "%d", count);
    if (processes == 2) {
        uint64_t(*one)[2] = shared->gap[0], (*two)[2] = shared->gap[1];
        for (int index = 0; index < 12; index++) {
            snprintf(name, sizeof name, "raw.gap.%d", index);
            say(name, "A %llu..%llu B %llu..%llu", (unsigned long long)(one[index][0] - one[0][0]), (unsigned long long)(one[index][1] - one[0][0]),
                (unsigned long long)(two[index][0] - one[0][0]), (unsigned long long)(two[index][1] - one[0][0]));
        }
    }
    snprintf(name, sizeof name, "time.slice.%d.away_us", processes), spread(name, away, (size_t)count);
    snprintf(name, sizeof name, "time.slice.%d.here_us", processes), spread(name, here, (size_t)stays);
}

int main(int argc, char **argv) {
    int gaps = argc > 1 && strcmp(argv[1], "gaps") == 0;
    Shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    char name[64];
    if (gaps) {
        for (int processes = 1; processes <= 3; processes++) run(shared, processes, 0, 1), tell_gaps(shared, processes);
        return 0;
    }
    /* How much work is 500 µs? */
    run(shared, 1, 100000, 0);
    qsort(shared->elapsed_us[0], ROUNDS, sizeof(double), by_value);
    double each = shared->elapsed_us[0][ROUNDS / 2];
    uint64_t rounds = (uint64_t)(100000 * 500.0 / each);
    say("time.spin_100000_us", "%.1f", each);
    double alone = 0;
    for (int processes = 1; processes <= PROCESSES_MAX; processes++) {
        run(shared, processes, rounds, 0);
        double wall = 0;
        for (int self = 0; self < processes; self++) if (shared->wall_ms[self] > wall) wall = shared->wall_ms[self];
        if (processes == 1) alone = wall;
        snprintf(name, sizeof name, "time.shared.%d.wall_ms", processes), say(name, "%.1f", wall);
        snprintf(name, sizeof name, "time.shared.%d.lost_percent", processes);
        say(name, "%.2f", 100 * (wall / (alone * processes) - 1));
        double longer[ROUNDS];
        size_t interrupted = 0;
        for (int index = 0; index < ROUNDS; index++)
            if (shared->elapsed_us[0][index] > 700) longer[interrupted++] = shared->elapsed_us[0][index] - 500;
        snprintf(name, sizeof name, "shared.%d.interrupted_of_%d", processes, ROUNDS), say(name, "%zu", interrupted);
        snprintf(name, sizeof name, "time.shared.%d.away_us", processes), spread(name, longer, interrupted);
    }
    return 0;
}
