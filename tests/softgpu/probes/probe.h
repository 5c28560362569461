/* What every probe shares: loading the library under test, printing `name value` lines, clocks, and kernels.
 *
 * A probe runs unchanged on NVIDIA's driver and on the software GPU; it judges nothing. `compare.py` does.
 */
#ifndef FASTGPU_PROBE_H
#define FASTGPU_PROBE_H

#define _GNU_SOURCE
#include "cuda_driver.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

__attribute__((unused)) static void *driver_library;

/* One line of the record: `name value`. */
#define say(name, ...) (printf("%s ", name), printf(__VA_ARGS__), putchar('\n'), fflush(stdout))

/* The code a call answers, under a name made of the format's words. */
#define code(name, call) say(name, "%d", (int)(call))

/* A call whose failure makes the rest of this probe meaningless. */
#define must(call)                                                                                                     \
    do {                                                                                                               \
        CUresult must_result = (call);                                                                                 \
        if (must_result != 0) {                                                                                        \
            say("probe.stopped", "%s answered %d at %s:%d", #call, must_result, __FILE__, __LINE__);                    \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

__attribute__((unused)) static void driver_load(void) {
    const char *path = getenv("PROBE_LIBCUDA");
    driver_library = dlopen(path ? path : "libcuda.so.1", RTLD_NOW | RTLD_GLOBAL);
    if (!driver_library) {
        say("probe.stopped", "%s", dlerror());
        exit(1);
    }
#define LOAD(name, arguments)                                                                                          \
    name = (CUresult(*) arguments)dlsym(driver_library, #name);                                                        \
    if (!name) say("missing." #name, "1");
    DRIVER_FUNCTIONS(LOAD)
#undef LOAD
}

__attribute__((unused)) static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

__attribute__((unused)) static size_t free_bytes(void) {
    size_t free_now = 0, total = 0;
    must(cuMemGetInfo_v2(&free_now, &total));
    return free_now;
}

__attribute__((unused)) static int by_value(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/* Sorts `values` and prints their median, 5th and 95th percentile. */
__attribute__((unused)) static void spread(const char *name, double *values, size_t count) {
    char line[128];
    if (!count) return;
    qsort(values, count, sizeof *values, by_value);
    snprintf(line, sizeof line, "%s.p05", name), say(line, "%.3f", values[count * 5 / 100]);
    snprintf(line, sizeof line, "%s.p50", name), say(line, "%.3f", values[count / 2]);
    snprintf(line, sizeof line, "%s.p95", name), say(line, "%.3f", values[count * 95 / 100]);
    snprintf(line, sizeof line, "%s.max", name), say(line, "%.3f", values[count - 1]);
}

/* Kernels in the driver's own assembly text; the software GPU knows them by name.
 * `busy` waits on the clock; `spin` does fixed work, so that time taken from it shows; `gaps` writes down the
 * pauses longer than 3 µs that it notices; `poke` and `trap` break on purpose. */
__attribute__((unused)) static const char KERNELS[] =
    ".version 7.5\n.target sm_75\n.address_size 64\n"
    ".visible .entry busy(.param .u64 us) {\n"
    " .reg .pred p; .reg .u64 limit,start,now,gone;\n"
    " ld.param.u64 limit,[us]; mul.lo.u64 limit,limit,1000; mov.u64 start,%globaltimer;\n"
    "again: mov.u64 now,%globaltimer; sub.u64 gone,now,start; setp.lt.u64 p,gone,limit; @p bra again; ret; }\n"
    ".visible .entry spin(.param .u64 rounds) {\n"
    " .reg .pred p; .reg .u64 left,seed;\n"
    " ld.param.u64 left,[rounds]; mov.u64 seed,%globaltimer;\n"
    "again: mad.lo.u64 seed,seed,left,7; sub.u64 left,left,1; setp.ne.u64 p,left,0; @p bra again;\n"
    " setp.eq.u64 p,seed,1; @p trap; ret; }\n"
    ".visible .entry gaps(.param .u64 out, .param .u64 room, .param .u64 ns) {\n"
    " .reg .pred p,q; .reg .u64 o,r,n,start,last,now,gone,step,at;\n"
    " ld.param.u64 o,[out]; ld.param.u64 r,[room]; ld.param.u64 n,[ns]; cvta.to.global.u64 o,o;\n"
    " mov.u64 start,%globaltimer; mov.u64 last,start; mov.u64 at,0;\n"
    "again: mov.u64 now,%globaltimer; sub.u64 step,now,last;\n"
    " setp.gt.u64 p,step,3000; setp.lt.and.u64 q,at,r,p; \n"
    " @!q bra next; st.global.u64 [o],last; st.global.u64 [o+8],now; add.u64 o,o,16; add.u64 at,at,1;\n"
    "next: mov.u64 last,now; sub.u64 gone,now,start; setp.lt.u64 p,gone,n; @p bra again; ret; }\n"
    ".visible .entry fill(.param .u64 ptr, .param .u32 value, .param .u64 words) {\n"
    " .reg .pred p; .reg .u64 a,n,i,s; .reg .u32 v,x,y,z;\n"
    " ld.param.u64 a,[ptr]; ld.param.u32 v,[value]; ld.param.u64 n,[words]; cvta.to.global.u64 a,a;\n"
    " mov.u32 x,%ctaid.x; mov.u32 y,%ntid.x; mov.u32 z,%tid.x; mad.lo.u32 x,x,y,z; cvt.u64.u32 i,x;\n"
    " mov.u32 z,%nctaid.x; mul.lo.u32 z,z,y; cvt.u64.u32 s,z;\n"
    "again: setp.ge.u64 p,i,n; @p bra done; { .reg .u64 t; shl.b64 t,i,2; add.u64 t,a,t; st.global.u32 [t],v; }\n"
    " add.u64 i,i,s; bra again;\n"
    "done: ret; }\n"
    ".visible .entry poke(.param .u64 ptr) {\n"
    " .reg .u64 a; .reg .u32 v; ld.param.u64 a,[ptr]; mov.u32 v,1; st.u32 [a],v; ret; }\n"
    ".visible .entry broken() { trap; ret; }\n";

__attribute__((unused)) static CUfunction kernel(const char *name) {
    static CUmodule module;
    CUfunction function = NULL;
    if (!module) must(cuModuleLoadData(&module, KERNELS));
    must(cuModuleGetFunction(&function, module, name));
    return function;
}

/* One block of one thread of `function` with one 64-bit argument. */
__attribute__((unused)) static CUresult launch1(CUfunction function, uint64_t argument, CUstream stream) {
    void *arguments[] = {&argument};
    return cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, stream, arguments, NULL);
}

/* The code of a call that may take the process down: made in a child, so that only the child is lost. */
#define risky(name, call)                                                                                              \
    do {                                                                                                               \
        int *risky_code = mmap(NULL, sizeof(int), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);           \
        fflush(stdout);                                                                                                \
        pid_t risky_child = fork();                                                                                    \
        if (risky_child == 0) {                                                                                        \
            *risky_code = (int)(call);                                                                                 \
            _exit(0);                                                                                                  \
        }                                                                                                              \
        int risky_status = 0;                                                                                          \
        waitpid(risky_child, &risky_status, 0);                                                                        \
        if (WIFSIGNALED(risky_status)) say(name, "dies of signal %d", WTERMSIG(risky_status));                         \
        else say(name, "%d", *risky_code);                                                                             \
        munmap(risky_code, sizeof(int));                                                                               \
    } while (0)

/* Device 0 with its primary context current. */
__attribute__((unused)) static CUdevice start(void) {
    CUdevice device = 0;
    CUcontext context = NULL;
    driver_load();
    must(cuInit(0));
    must(cuDeviceGet(&device, 0));
    must(cuDevicePrimaryCtxRetain(&context, device));
    must(cuCtxSetCurrent(context));
    return device;
}

#endif
