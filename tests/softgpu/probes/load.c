/* How NVML sees a step of load: utilization, power, clocks and temperature before, during and after 3 s of work,
 * asked every 10 ms from outside; and what a half-loaded device looks like. */
#include "probe.h"
#include "nvml.h"

enum { BEFORE_MS = 1500, DURING_MS = 3000, AFTER_MS = 2500, STEP_MS = 10, MAX = 1000 };

typedef struct { volatile int ready, go, done; } Shared;

static void child(Shared *shared, int busy_us, int idle_us, int blocks) {
    start();
    CUfunction busy = kernel("busy");
    uint64_t length = (uint64_t)busy_us;
    void *arguments[] = {&length};
    must(launch1(busy, 1, NULL));
    must(cuCtxSynchronize());
    shared->ready = 1;
    while (!shared->go) usleep(100);
    uint64_t end = now_ns() + DURING_MS * 1000000ull;
    while (now_ns() < end) {
        must(cuLaunchKernel(busy, (unsigned)blocks, 1, 1, 128, 1, 1, 0, NULL, arguments, NULL));
        must(cuCtxSynchronize());
        if (idle_us) usleep((unsigned)idle_us);
    }
    shared->done = 1;
    while (shared->go != 2) usleep(100);
    _exit(0);
}

static void run(NvmlDevice device, const char *word, int busy_us, int idle_us, int blocks, int trace) {
    static struct { double ms; unsigned gpu, memory, power, sm, celsius; NvmlLong energy; } row[MAX];
    Shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    char name[64];
    pid_t worker = fork();
    if (worker == 0) child(shared, busy_us, idle_us, blocks);
    while (!shared->ready) usleep(1000);
    int count = 0;
    uint64_t zero = now_ns() + BEFORE_MS * 1000000ull, end = zero + (DURING_MS + AFTER_MS) * 1000000ull;
    NvmlLong since = 0;
    for (uint64_t next = now_ns(); now_ns() < end && count < MAX; next += STEP_MS * 1000000ull) {
        NvmlUtilization rates = {0, 0};
        if (!shared->go && now_ns() >= zero) shared->go = 1;
        must(nvmlDeviceGetUtilizationRates(device, &rates));
        row[count].ms = ((double)now_ns() - (double)zero) / 1e6;
        row[count].gpu = rates.gpu, row[count].memory = rates.memory;
        nvmlDeviceGetPowerUsage(device, &row[count].power);
        nvmlDeviceGetTotalEnergyConsumption(device, &row[count].energy);
        nvmlDeviceGetClockInfo(device, 1, &row[count].sm);
        nvmlDeviceGetTemperature(device, 0, &row[count].celsius);
        count++;
        while (now_ns() < next + STEP_MS * 1000000ull) usleep(200);
    }
    NvmlProcessSample samples[200];
    unsigned sample_count = 200;
    int result = nvmlDeviceGetProcessUtilization(device, samples, &sample_count, since);
    snprintf(name, sizeof name, "load.%s.process_samples", word), say(name, "%d count %u", result, sample_count);
    for (unsigned index = 0; !result && index < sample_count && index < 8; index++) {
        snprintf(name, sizeof name, "raw.%s.process_sample.%u", word, index);
        say(name, "own %d sm %u memory %u age_ms %.0f", samples[index].pid == (unsigned)worker, samples[index].sm, samples[index].memory,
            (double)time(NULL) * 1e3 - (double)samples[index].time / 1e3);
    }
    static NvmlSample fine[4000];
    unsigned fine_count = 4000;
    int type = -1;
    result = nvmlDeviceGetSamples(device, 1, 0, &type, &fine_count, fine);
    snprintf(name, sizeof name, "load.%s.samples", word), say(name, "%d type %d count %u", result, type, fine_count);
    if (!result && fine_count > 2) {
        snprintf(name, sizeof name, "time.%s.sample_step_us", word);
        say(name, "%llu", (fine[fine_count - 1].time - fine[0].time) / (fine_count - 1));
    }
    double first = -1, full = -1, fall = -1, zero_again = -1, last_change = -1;
    static double steps[MAX];
    size_t changes = 0;
    unsigned most = 0;
    for (int index = 0; index < count; index++) {
        if (row[index].ms > 0 && row[index].gpu > most) most = row[index].gpu;
        if (first < 0 && row[index].ms > 0 && row[index].gpu > 5) first = row[index].ms;
        if (full < 0 && row[index].ms > 0 && row[index].gpu >= 99) full = row[index].ms;
        if (fall < 0 && row[index].ms > DURING_MS && row[index].gpu < most) fall = row[index].ms - DURING_MS;
        if (zero_again < 0 && row[index].ms > DURING_MS && row[index].gpu == 0) zero_again = row[index].ms - DURING_MS;
        if (index && row[index].gpu != row[index - 1].gpu) {
            if (last_change >= 0) steps[changes++] = row[index].ms - last_change;
            last_change = row[index].ms;
        }
    }
    snprintf(name, sizeof name, "load.%s.most_percent", word), say(name, "%u", most);
    snprintf(name, sizeof name, "time.%s.first_seen_ms", word), say(name, "%.0f", first);
    snprintf(name, sizeof name, "time.%s.full_seen_ms", word), say(name, "%.0f", full);
    snprintf(name, sizeof name, "time.%s.fall_seen_ms", word), say(name, "%.0f", fall);
    snprintf(name, sizeof name, "time.%s.zero_seen_ms", word), say(name, "%.0f", zero_again);
    snprintf(name, sizeof name, "time.%s.change_step_ms", word), spread(name, steps, changes);
    for (int index = 0; trace && index < count; index += trace) {
        snprintf(name, sizeof name, "raw.%s.%d", word, index);
        say(name, "ms %.0f gpu %u memory %u power %u energy %llu sm %u celsius %u", row[index].ms, row[index].gpu, row[index].memory,
            row[index].power, row[index].energy, row[index].sm, row[index].celsius);
    }
    shared->go = 2;
    waitpid(worker, NULL, 0);
}

int main(void) {
    NvmlDevice device = nvml_start();
    run(device, "one_block", 1000, 0, 1, 2);
    run(device, "all_blocks", 1000, 0, 2000, 2);
    run(device, "half", 2000, 2000, 132, 8);
    return 0;
}
