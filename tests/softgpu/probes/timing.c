/* What calls cost and how the queue behaves: launches, allocation, events, copies, and the depth at which it blocks. */
#include "probe.h"

static void launches(void) {
    enum { COUNT = 2000 };
    static double costs[COUNT];
    CUstream stream = NULL;
    CUfunction busy = kernel("busy");
    must(cuStreamCreate(&stream, 1));
    for (int index = 0; index < 200; index++) must(launch1(busy, 0, stream));
    must(cuStreamSynchronize(stream));
    for (int index = 0; index < COUNT; index++) {
        if (index % 200 == 0) must(cuStreamSynchronize(stream));
        uint64_t began = now_ns();
        must(launch1(busy, 0, stream));
        costs[index] = (double)(now_ns() - began) / 1e3;
    }
    spread("time.launch_us", costs, COUNT);
    must(cuStreamSynchronize(stream));
    uint64_t began = now_ns();
    for (int index = 0; index < 20000; index++) must(launch1(busy, 0, stream));
    must(cuStreamSynchronize(stream));
    say("time.empty_kernel_back_to_back_us", "%.3f", (double)(now_ns() - began) / 1e3 / 20000);
    for (int index = 0; index < 500; index++) {
        began = now_ns();
        must(launch1(busy, 0, stream));
        must(cuStreamSynchronize(stream));
        costs[index] = (double)(now_ns() - began) / 1e3;
    }
    spread("time.launch_and_wait_us", costs, 500);
    must(cuStreamDestroy_v2(stream));
}

/* A first long kernel holds the stream; the launch that does not return at once found the queue full. */
static void depth(const char *word, int events_too, int streams) {
    char name[96];
    CUstream stream[4] = {0};
    CUevent event = NULL;
    CUfunction busy = kernel("busy");
    must(cuEventCreate(&event, 2));
    for (int index = 0; index < streams; index++) must(cuStreamCreate(&stream[index], 1));
    for (int index = 0; index < streams; index++) must(launch1(busy, 200000, stream[index]));
    int queued = 0;
    uint64_t waited = 0;
    for (; queued < 20000 && waited < 5000000; queued++) {
        uint64_t began = now_ns();
        must(launch1(busy, 0, stream[queued % streams]));
        if (events_too) must(cuEventRecord(event, stream[queued % streams]));
        waited = now_ns() - began;
    }
    snprintf(name, sizeof name, "queue.%s.blocks_at", word);
    say(name, "%d", queued);
    snprintf(name, sizeof name, "time.queue.%s.blocked_ms", word);
    say(name, "%.3f", (double)waited / 1e6);
    must(cuCtxSynchronize());
    for (int index = 0; index < streams; index++) must(cuStreamDestroy_v2(stream[index]));
    must(cuEventDestroy_v2(event));
}

static void small_copies_queue(void) {
    CUstream stream = NULL;
    CUfunction busy = kernel("busy");
    CUdeviceptr at = 0;
    must(cuMemAlloc_v2(&at, 4096));
    must(cuStreamCreate(&stream, 1));
    must(launch1(busy, 200000, stream));
    int queued = 0;
    uint64_t waited = 0;
    for (; queued < 20000 && waited < 5000000; queued++) {
        uint64_t began = now_ns();
        must(cuMemsetD8Async(at, 1, 64, stream));
        waited = now_ns() - began;
    }
    say("queue.memsets.blocks_at", "%d", queued);
    must(cuCtxSynchronize());
    must(cuStreamDestroy_v2(stream));
    must(cuMemFree_v2(at));
}

static void events(void) {
    enum { COUNT = 500 };
    static double values[COUNT];
    CUevent first = NULL, second = NULL;
    CUstream stream = NULL;
    CUfunction busy = kernel("busy");
    float ms = 0;
    must(cuStreamCreate(&stream, 1));
    must(cuEventCreate(&first, 0));
    must(cuEventCreate(&second, 0));
    double smallest = 1e9;
    for (int index = 0; index < COUNT; index++) {
        must(cuEventRecord(first, stream));
        must(cuEventRecord(second, stream));
        must(cuStreamSynchronize(stream));
        must(cuEventElapsedTime(&ms, first, second));
        values[index] = (double)ms * 1e3;
        if (values[index] > 0 && values[index] < smallest) smallest = values[index];
    }
    spread("time.two_events_us", values, COUNT);
    say("time.smallest_step_us", "%.4f", smallest);
    for (int index = 0; index < 8; index++) {
        char name[64];
        snprintf(name, sizeof name, "time.event_sample_us.%d", index);
        say(name, "%.6f", values[index * 60]);
    }
    static const int US[] = {1, 10, 100, 1000, 10000};
    for (int which = 0; which < 5; which++) {
        for (int index = 0; index < 50; index++) {
            must(cuEventRecord(first, stream));
            must(launch1(busy, (uint64_t)US[which], stream));
            must(cuEventRecord(second, stream));
            must(cuStreamSynchronize(stream));
            must(cuEventElapsedTime(&ms, first, second));
            values[index] = (double)ms * 1e3;
        }
        char name[64];
        snprintf(name, sizeof name, "time.busy_%d_us", US[which]);
        spread(name, values, 50);
    }
    must(cuEventDestroy_v2(first));
    must(cuEventDestroy_v2(second));
    must(cuStreamDestroy_v2(stream));
}

static void memory(void) {
    enum { COUNT = 500 };
    static double takes[COUNT], frees[COUNT];
    static const size_t SIZES[] = {4096, MIB, 2 * MIB, 64 * MIB};
    char name[64];
    for (int which = 0; which < 4; which++) {
        for (int index = 0; index < COUNT; index++) {
            CUdeviceptr at = 0;
            uint64_t began = now_ns();
            must(cuMemAlloc_v2(&at, SIZES[which]));
            takes[index] = (double)(now_ns() - began) / 1e3;
            began = now_ns();
            must(cuMemFree_v2(at));
            frees[index] = (double)(now_ns() - began) / 1e3;
        }
        snprintf(name, sizeof name, "time.alloc_us.%zu", SIZES[which]), spread(name, takes, COUNT);
        snprintf(name, sizeof name, "time.free_us.%zu", SIZES[which]), spread(name, frees, COUNT);
    }
    for (int index = 0; index < COUNT; index++) {
        uint64_t began = now_ns();
        free_bytes();
        takes[index] = (double)(now_ns() - began) / 1e3;
    }
    spread("time.mem_info_us", takes, COUNT);
    enum { LARGE = 256 };
    void *pinned = NULL, *plain = malloc(LARGE * MIB);
    CUdeviceptr at = 0, to = 0;
    must(cuMemAlloc_v2(&at, LARGE * MIB));
    must(cuMemAlloc_v2(&to, LARGE * MIB));
    must(cuMemHostAlloc(&pinned, LARGE * MIB, 0));
    memset(plain, 1, LARGE * MIB);
    struct { const char *name; int kind; } kinds[] = {{"pinned_to_device", 0}, {"device_to_pinned", 1}, {"plain_to_device", 2}, {"device_to_device", 3}, {"memset", 4}};
    for (int which = 0; which < 5; which++) {
        double best = 1e18;
        for (int again = 0; again < 4; again++) {
            uint64_t began = now_ns();
            switch (kinds[which].kind) {
            case 0: must(cuMemcpyHtoD_v2(at, pinned, LARGE * MIB)); break;
            case 1: must(cuMemcpyDtoH_v2(pinned, at, LARGE * MIB)); break;
            case 2: must(cuMemcpyHtoD_v2(at, plain, LARGE * MIB)); break;
            case 3: must(cuMemcpyDtoD_v2(to, at, LARGE * MIB)); break;
            default: must(cuMemsetD32_v2(at, 1, LARGE * MIB / 4)); break;
            }
            must(cuCtxSynchronize());
            double took = (double)(now_ns() - began);
            if (took < best) best = took;
        }
        snprintf(name, sizeof name, "time.gb_per_s.%s", kinds[which].name);
        say(name, "%.1f", LARGE * (double)MIB / best);
    }
    must(cuMemFree_v2(at));
    must(cuMemFree_v2(to));
    must(cuMemFreeHost(pinned));
}

int main(void) {
    start();
    launches();
    depth("launches", 0, 1);
    depth("launches_and_events", 1, 1);
    depth("launches_on_four_streams", 0, 4);
    small_copies_queue();
    events();
    memory();
    return 0;
}
