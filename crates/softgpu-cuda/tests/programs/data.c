/* Kernels, copies, sets and graphs move real bytes; what is not there says so and is counted. */
#include "driver.h"

enum { N = 4096, ROWS = 48 };
static float x[N], y[N], a[ROWS * ROWS], b[ROWS * ROWS], c[ROWS * ROWS];

static void kernels_compute(void) {
    CUdeviceptr dx, dy, da, db, dc;
    uint64_t n = N, rows = ROWS;
    float factor = 2.5f;
    for (int i = 0; i < N; i++)
        x[i] = (float)i, y[i] = 1;
    MUST(cuMemAlloc_v2(&dx, sizeof x));
    MUST(cuMemAlloc_v2(&dy, sizeof y));
    MUST(cuMemcpyHtoD_v2(dx, x, sizeof x));
    MUST(cuMemcpyHtoD_v2(dy, y, sizeof y));
    void *saxpy[] = {&n, &factor, &dx, &dy};
    MUST(cuLaunchKernel(kernel("saxpy"), 1, 1, 1, 32, 1, 1, 0, NULL, saxpy, NULL));
    MUST(cuMemcpyDtoH_v2(y, dy, sizeof y));
    for (int i = 0; i < N; i++)
        TRUE(y[i] == 2.5f * (float)i + 1);
    for (int i = 0; i < ROWS * ROWS; i++)
        a[i] = (float)(i % 7), b[i] = (float)(i % 5);
    MUST(cuMemAlloc_v2(&da, sizeof a));
    MUST(cuMemAlloc_v2(&db, sizeof b));
    MUST(cuMemAlloc_v2(&dc, sizeof c));
    MUST(cuMemcpyHtoD_v2(da, a, sizeof a));
    MUST(cuMemcpyHtoD_v2(db, b, sizeof b));
    void *matmul[] = {&rows, &da, &db, &dc};
    MUST(cuLaunchKernel(kernel("matmul"), 1, 1, 1, 32, 1, 1, 0, NULL, matmul, NULL));
    MUST(cuMemcpyDtoH_v2(c, dc, sizeof c));
    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < ROWS; j++) {
            float sum = 0;
            for (int k = 0; k < ROWS; k++)
                sum += a[i * ROWS + k] * b[k * ROWS + j];
            TRUE(c[i * ROWS + j] == sum);
        }
}

static void a_graph_does_at_launch_what_was_recorded(void) {
    CUstream stream;
    CUgraph graph;
    CUgraphExec exec;
    CUdeviceptr at;
    unsigned word = 0;
    MUST(cuStreamCreate(&stream, 1));
    MUST(cuMemAlloc_v2(&at, 4096));
    MUST(cuMemsetD32Async(at, 1, 1024, stream));
    MUST(cuStreamSynchronize(stream));
    MUST(cuStreamBeginCapture_v2(stream, 0));
    MUST(cuMemsetD32Async(at, 7, 1024, stream));
    EXPECT(900, cuStreamSynchronize(stream));
    EXPECT(901, cuStreamEndCapture(stream, &graph));
    MUST(cuStreamBeginCapture_v2(stream, 0));
    MUST(cuMemsetD32Async(at, 7, 1024, stream));
    MUST(cuStreamEndCapture(stream, &graph));
    MUST(cuMemcpyDtoH_v2(&word, at + 4092, 4));
    TRUE(word == 1);
    MUST(cuGraphInstantiateWithFlags(&exec, graph, 0));
    MUST(cuGraphLaunch(exec, stream));
    MUST(cuStreamSynchronize(stream));
    MUST(cuMemcpyDtoH_v2(&word, at + 4092, 4));
    TRUE(word == 7);
}

static void legacy_and_per_thread_forms_differ(void) {
    void *legacy = NULL, *own = NULL, *none = NULL;
    int status = -1;
    MUST(cuGetProcAddress_v2("cuLaunchKernel", &legacy, 13000, 1, &status));
    TRUE(status == 0 && legacy == (void *)cuLaunchKernel);
    MUST(cuGetProcAddress_v2("cuLaunchKernel", &own, 13000, 2, &status));
    TRUE(status == 0 && own && own != legacy);
    MUST(cuGetProcAddress_v2("cuMemAlloc", &own, 2000, 0, &status));
    TRUE(status == 0 && own != (void *)cuMemAlloc_v2);
    MUST(cuGetProcAddress_v2("cuGraphLaunch", &none, 9000, 0, &status));
    TRUE(status == 2 && none == NULL);
    MUST(cuGetProcAddress_v2("cuNothing", &none, 13000, 0, &status));
    TRUE(status == 1 && none == NULL);
}

int main(void) {
    size_t before, after, total;
    CUdeviceptr at;
    EXPECT(3, cuMemAlloc_v2(&at, 1));
    context_on(0);
    MUST(cuMemGetInfo_v2(&before, &total));
    MUST(cuMemAlloc_v2(&at, 1));
    MUST(cuMemGetInfo_v2(&after, &total));
    TRUE(before - after == 2 << 20);
    EXPECT(2, cuMemAlloc_v2(&at, total));
    EXPECT(1, cuMemcpyHtoD_v2(at + (1ull << 40), x, 4));
    kernels_compute();
    a_graph_does_at_launch_what_was_recorded();
    legacy_and_per_thread_forms_differ();
    EXPECT(801, cuGLInit());
    EXPECT(801, cuLaunchKernel(kernel("stranger"), 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL));
    EXPECT(1, cuGetExportTable((const void *[1]){0}, "sixteen bytes id"));
    return 0;
}
