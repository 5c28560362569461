/* What the programs against the driver share: expectations that name themselves, kernels, and a last line with a count.
 *
 * They are built with the driver's public header, so that structures are laid out as its callers have them, and judge
 * for themselves: nothing of a real GPU is recorded for them. */
#ifndef FASTGPU_CALLS_CHECK_H
#define FASTGPU_CALLS_CHECK_H

#define _GNU_SOURCE
#include <cuda.h>
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../expect.h"

/* A call that must answer `wanted`. */
#define answers(wanted, call)                                                                                          \
    do {                                                                                                               \
        CUresult answers_got = (call);                                                                                 \
        expectations++;                                                                                                \
        if (answers_got != (wanted))                                                                                   \
            failures++, printf("%s:%d: %s answers %d, not %d\n", __FILE__, __LINE__, #call, (int)answers_got,          \
                               (int)(wanted));                                                                         \
    } while (0)

#define works(call) answers(CUDA_SUCCESS, call)

/* Whether stale handles are seen: a real driver follows them, and falls. */
__attribute__((unused)) static int is_ours(void) { return getenv("FASTGPU_SOFTGPU_DIR") != NULL; }

/* A function by the name of one form of it, which the header hides behind the newest. */
#define form(name, arguments) ((CUresult(*) arguments)dlsym(RTLD_DEFAULT, name))

static const char KERNELS[] =
    ".version 7.5\n.target sm_75\n.address_size 64\n"
    ".visible .entry busy(.param .u64 us) {\n"
    " .reg .pred p; .reg .u64 limit,start,now,gone;\n"
    " ld.param.u64 limit,[us]; mul.lo.u64 limit,limit,1000; mov.u64 start,%globaltimer;\n"
    "again: mov.u64 now,%globaltimer; sub.u64 gone,now,start; setp.lt.u64 p,gone,limit; @p bra again; ret; }\n"
    ".visible .entry fill(.param .u64 ptr, .param .u32 value, .param .u64 words) {\n"
    " .reg .pred p; .reg .u64 a,n,i,t; .reg .u32 v;\n"
    " ld.param.u64 a,[ptr]; ld.param.u32 v,[value]; ld.param.u64 n,[words]; cvta.to.global.u64 a,a; mov.u64 i,0;\n"
    "again: setp.ge.u64 p,i,n; @p bra done; shl.b64 t,i,2; add.u64 t,a,t; st.global.u32 [t],v; add.u64 i,i,1;\n"
    " bra again;\n"
    "done: ret; }\n";

static CUdevice device;
static CUcontext context;
static CUfunction fill, busy;

__attribute__((unused)) static void start(void) {
    CUmodule module = NULL;
    works(cuInit(0));
    works(cuDeviceGet(&device, 0));
    works(cuDevicePrimaryCtxRetain(&context, device));
    works(cuCtxSetCurrent(context));
    works(cuModuleLoadData(&module, KERNELS));
    works(cuModuleGetFunction(&fill, module, "fill"));
    works(cuModuleGetFunction(&busy, module, "busy"));
    if (failures) exit(1);
}

__attribute__((unused)) static int verdict_at_rest(void) {
    works(cuCtxSynchronize());
    return verdict();
}

__attribute__((unused)) static CUdeviceptr device_words(size_t count) {
    CUdeviceptr at = 0;
    works(cuMemAlloc(&at, 4 * count));
    works(cuMemsetD32(at, 0, count));
    works(cuCtxSynchronize());
    return at;
}

__attribute__((unused)) static void *pinned(size_t bytes) {
    void *at = NULL;
    works(cuMemHostAlloc(&at, bytes, 0));
    memset(at, 0, bytes);
    return at;
}

__attribute__((unused)) static unsigned word_at(CUdeviceptr at) {
    unsigned word = 0;
    works(cuMemcpyDtoH(&word, at, 4));
    return word;
}

__attribute__((unused)) static CUgraph new_graph(void) {
    CUgraph graph = NULL;
    works(cuGraphCreate(&graph, 0));
    return graph;
}

__attribute__((unused)) static CUgraphExec instance(CUgraph graph) {
    CUgraphExec exec = NULL;
    works(cuGraphInstantiate(&exec, graph, 0));
    return exec;
}

__attribute__((unused)) static void run(CUgraphExec exec, CUstream stream) {
    works(cuGraphLaunch(exec, stream));
    works(cuStreamSynchronize(stream));
}

__attribute__((unused)) static CUresult busy_for(uint64_t us, CUstream stream) {
    void *arguments[] = {&us};
    return cuLaunchKernel(busy, 1, 1, 1, 1, 1, 1, 0, stream, arguments, NULL);
}

__attribute__((unused)) static double now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* Waits until a word that others write is what it should be; false after ten seconds. */
__attribute__((unused)) static int becomes(volatile unsigned *word, unsigned wanted) {
    double until = now_ms() + 10000;
    while (__atomic_load_n(word, __ATOMIC_ACQUIRE) != wanted && now_ms() < until) nanosleep(&(struct timespec){0, 100000}, NULL);
    return __atomic_load_n(word, __ATOMIC_ACQUIRE) == wanted;
}

#endif
