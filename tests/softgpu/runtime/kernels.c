/* Kernels through the CUDA runtime: a fat binary made by hand, as a compiler would put it into the program. */
#include "check.h"

static const char SAXPY[] =
    ".version 7.0\n.target sm_52\n.address_size 64\n"
    ".visible .entry saxpy(.param .u64 count, .param .f32 a, .param .u64 x, .param .u64 y)\n{\n"
    ".reg .pred over;\n.reg .u32 block, width, thread;\n.reg .u64 total, at, xs, ys, place;\n.reg .f32 factor, one, two;\n"
    "ld.param.u64 total, [count];\nld.param.f32 factor, [a];\nld.param.u64 xs, [x];\nld.param.u64 ys, [y];\n"
    "mov.u32 block, %ctaid.x;\nmov.u32 width, %ntid.x;\nmov.u32 thread, %tid.x;\nmad.lo.u32 thread, block, width, thread;\n"
    "cvt.u64.u32 at, thread;\nsetp.ge.u64 over, at, total;\n@over ret;\nshl.b64 at, at, 2;\nadd.u64 place, xs, at;\n"
    "ld.global.f32 one, [place];\nadd.u64 place, ys, at;\nld.global.f32 two, [place];\nmul.rn.f32 one, one, factor;\n"
    "add.rn.f32 two, one, two;\nst.global.f32 [place], two;\nret;\n}\n";

/* A fat binary with one part. */
struct binary {
    uint32_t magic;
    uint16_t version, header_bytes;
    uint64_t parts_bytes;
    uint16_t kind, part_version;
    uint32_t part_header_bytes;
    uint64_t payload_bytes;
    uint32_t compressed_bytes, options, unknown, capability, word_bits, name;
    uint64_t flags, zero, plain_bytes;
    char payload[2048];
};
struct wrapper {
    uint32_t magic, version;
    const struct binary *binary;
    void *more;
};
enum { PART_BYTES = 64, KIND_TEXT = 1, KIND_COMPILED = 2 };

void **__cudaRegisterFatBinary(void *wrapper);
void __cudaRegisterFatBinaryEnd(void **registered);
void __cudaUnregisterFatBinary(void **registered);
void __cudaRegisterFunction(void **registered, const char *host, char *device, const char *name, int threads, void *tid,
                            void *bid, void *block, void *grid, int *words);

static void **put_in(struct binary *binary, struct wrapper *wrapper, int kind, uint32_t capability, const char *payload,
                     size_t bytes, const char *host, char *name) {
    *binary = (struct binary){.magic = 0xba55ed50, .version = 1, .header_bytes = 16, .parts_bytes = PART_BYTES + 2048,
                              .kind = (uint16_t)kind, .part_version = 0x101, .part_header_bytes = PART_BYTES,
                              .payload_bytes = 2048, .capability = capability, .word_bits = 64, .flags = 0x11};
    memcpy(binary->payload, payload, bytes);
    *wrapper = (struct wrapper){0x466243b1, 1, binary, NULL};
    void **registered = __cudaRegisterFatBinary(wrapper);
    __cudaRegisterFunction(registered, host, name, name, -1, NULL, NULL, NULL, NULL, NULL);
    __cudaRegisterFatBinaryEnd(registered);
    return registered;
}

static void saxpy(const char *function) {
    enum { COUNT = 10000 };
    static float xs[COUNT], ys[COUNT], back[COUNT];
    float *x = NULL, *y = NULL, a = 3.0f;
    uint64_t count = COUNT;
    for (int at = 0; at < COUNT; at++) xs[at] = (float)at, ys[at] = (float)(at % 7);
    works(cudaMalloc((void **)&x, sizeof xs));
    works(cudaMalloc((void **)&y, sizeof ys));
    works(cudaMemcpy(x, xs, sizeof xs, cudaMemcpyHostToDevice));
    works(cudaMemcpy(y, ys, sizeof ys, cudaMemcpyHostToDevice));
    void *arguments[] = {&count, &a, &x, &y};
    works(cudaLaunchKernel(function, (dim3){(COUNT + 255) / 256, 1, 1}, (dim3){256, 1, 1}, arguments, 0, NULL));
    works(cudaMemcpy(back, y, sizeof back, cudaMemcpyDeviceToHost));
    int wrong = 0;
    for (int at = 0; at < COUNT; at++) wrong += back[at] != 3.0f * xs[at] + ys[at];
    expect(wrong == 0);
    works(cudaFree(x));
    works(cudaFree(y));
}

int main(int count_of_words, char **words) {
    static struct binary with_text, compiled;
    static struct wrapper wrappers[2];
    static const char known = 0, unknown = 0;
    static char names[2][16] = {"saxpy", "_Z7mysteryv"};
    if (refused(count_of_words, words)) return failures != 0;
    void **first = put_in(&with_text, &wrappers[0], KIND_TEXT, 52, SAXPY, sizeof SAXPY, &known, names[0]);
    saxpy(&known);
    works(cudaDeviceReset());
    saxpy(&known);
    answers(cudaLaunchKernel("nobody's", (dim3){1, 1, 1}, (dim3){1, 1, 1}, NULL, 0, NULL), cudaErrorInvalidDeviceFunction);
    cudaGetLastError();
    /* Nothing runs what was compiled for another device; the program lives on. */
    void **second = put_in(&compiled, &wrappers[1], KIND_COMPILED, 30, "\x7f" "ELF", 4, &unknown, names[1]);
    const cudaError_t refusal = cudaLaunchKernel(&unknown, (dim3){1, 1, 1}, (dim3){1, 1, 1}, NULL, 0, NULL);
    expect(refusal == cudaErrorNoKernelImageForDevice);
    cudaGetLastError();
    saxpy(&known);
    __cudaUnregisterFatBinary(second);
    __cudaUnregisterFatBinary(first);
    return verdict();
}
