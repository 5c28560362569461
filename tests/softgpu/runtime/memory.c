/* The CUDA runtime's memory: plain, pitched, managed, pinned, arrays, pools, copies of all kinds. */
#include "check.h"

static void plain(void) {
    unsigned char *host = malloc(4 * MIB), *back = malloc(4 * MIB);
    char *device = NULL, *other = NULL;
    size_t before = free_bytes(), total = 0, free_now = 0;
    struct cudaPointerAttributes attributes;
    works(cudaMemGetInfo(&free_now, &total));
    works(cudaMalloc((void **)&device, 4 * MIB));
    expect(before - free_bytes() == 4 * MIB);
    works(cudaMalloc((void **)&other, 4 * MIB));
    for (size_t index = 0; index < 4 * MIB; index++) host[index] = (unsigned char)(index * 31 >> 3);
    works(cudaMemcpy(device, host, 4 * MIB, cudaMemcpyHostToDevice));
    works(cudaMemcpy(other, device, 4 * MIB, cudaMemcpyDeviceToDevice));
    works(cudaMemcpy(back, other, 4 * MIB, cudaMemcpyDeviceToHost));
    expect(memcmp(host, back, 4 * MIB) == 0);
    works(cudaMemset(other + 100, 7, 1000));
    works(cudaMemcpy(back, other, 2000, cudaMemcpyDefault));
    expect(back[99] == host[99] && back[100] == 7 && back[1099] == 7 && back[1100] == host[1100]);
    works(cudaPointerGetAttributes(&attributes, device + 5));
    expect(attributes.type == cudaMemoryTypeDevice && attributes.device == 0 && attributes.devicePointer == device + 5);
#if CUDART_VERSION >= 11000
    works(cudaPointerGetAttributes(&attributes, host));
    expect(attributes.type == cudaMemoryTypeUnregistered);
#else
    answers(cudaPointerGetAttributes(&attributes, host), cudaErrorInvalidValue);
    cudaGetLastError();
#endif
    answers(cudaMalloc((void **)&back, total * 2), cudaErrorMemoryAllocation);
    answers(cudaGetLastError(), cudaErrorMemoryAllocation);
    answers(cudaFree(device + 64), cudaErrorInvalidValue);
    cudaGetLastError();
    works(cudaFree(device));
    answers(cudaFree(device), cudaErrorInvalidValue);
    cudaGetLastError();
    works(cudaFree(other));
    works(cudaFree(NULL));
    expect(free_bytes() == before);
    free(host);
}

static void pitched(void) {
    enum { WIDTH = 1000, HEIGHT = 50 };
    static char host[HEIGHT][WIDTH], back[HEIGHT][WIDTH];
    void *device = NULL;
    size_t pitch = 0;
    works(cudaMallocPitch(&device, &pitch, WIDTH, HEIGHT));
    expect(pitch == 1024);
    for (int y = 0; y < HEIGHT; y++) memset(host[y], y + 1, WIDTH);
    works(cudaMemcpy2D(device, pitch, host, WIDTH, WIDTH, HEIGHT, cudaMemcpyHostToDevice));
    works(cudaMemset2D((char *)device + 10 * pitch + 20, pitch, 99, 30, 5));
    works(cudaMemcpy2D(back, WIDTH, device, pitch, WIDTH, HEIGHT, cudaMemcpyDeviceToHost));
    expect(back[9][20] == 10 && back[10][19] == 11 && back[10][20] == 99 && back[14][49] == 99 && back[14][50] == 15);
    works(cudaFree(device));
    struct cudaPitchedPtr box;
    const struct cudaExtent extent = {100, 10, 4};
    works(cudaMalloc3D(&box, extent));
    expect(box.pitch == 512);
    works(cudaMemset3D(box, 3, extent));
    works(cudaFree(box.ptr));
}

static void arrays(void) {
    static float image[64][64], back[64][64];
    struct cudaChannelFormatDesc format = {32, 0, 0, 0, cudaChannelFormatKindFloat};
    cudaArray_t array = NULL;
    for (int y = 0; y < 64; y++)
        for (int x = 0; x < 64; x++) image[y][x] = (float)(y * 100 + x);
    works(cudaMallocArray(&array, &format, 64, 64, 0));
    works(cudaMemcpy2DToArray(array, 0, 0, image, 256, 256, 64, cudaMemcpyHostToDevice));
    works(cudaMemcpy2DFromArray(back, 256, array, 0, 0, 256, 64, cudaMemcpyDeviceToHost));
    expect(memcmp(image, back, sizeof image) == 0);
    works(cudaFreeArray(array));
}

static void host_memory(void) {
    int *pinned = NULL, *mapped = NULL, *managed = NULL;
    static int plain_page[4096] __attribute__((aligned(4096)));
    unsigned flags = 0;
    works(cudaHostAlloc((void **)&pinned, MIB, cudaHostAllocMapped | cudaHostAllocPortable));
    works(cudaHostGetDevicePointer((void **)&mapped, pinned, 0));
    works(cudaHostGetFlags(&flags, pinned));
    expect(flags == (cudaHostAllocMapped | cudaHostAllocPortable));
    works(cudaMemset(mapped, 1, 16));
    works(cudaDeviceSynchronize());
    expect(pinned[3] == 0x01010101);
    works(cudaFreeHost(pinned));
    works(cudaHostRegister(plain_page, sizeof plain_page, cudaHostRegisterDefault));
    works(cudaHostUnregister(plain_page));
    works(cudaMallocManaged((void **)&managed, MIB, cudaMemAttachGlobal));
    managed[7] = 42;
    int seen = 0;
    works(cudaMemcpy(&seen, managed + 7, 4, cudaMemcpyDefault));
    expect(seen == 42);
    works(cudaFree(managed));
}

#if CUDART_VERSION >= 11020
static void pools(void) {
    cudaMemPool_t pool = NULL, own = NULL;
    cudaStream_t stream = NULL;
    struct cudaMemPoolProps properties = {.allocType = cudaMemAllocationTypePinned,
                                          .location = {.type = cudaMemLocationTypeDevice, .id = 0}};
    void *first = NULL, *second = NULL;
    uint64_t value = 0;
    size_t before = free_bytes();
    works(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    works(cudaDeviceGetDefaultMemPool(&pool, 0));
    works(cudaMallocAsync(&first, 5 * MIB, stream));
    works(cudaMallocAsync(&second, 1000, stream));
    works(cudaMemsetAsync(first, 9, 5 * MIB, stream));
    works(cudaMemPoolGetAttribute(pool, cudaMemPoolAttrReservedMemCurrent, &value));
    expect(value == 32 * MIB);
    works(cudaMemPoolGetAttribute(pool, cudaMemPoolAttrUsedMemCurrent, &value));
    expect(value == 5 * MIB + 1000);
    works(cudaFreeAsync(first, stream));
    works(cudaFreeAsync(second, stream));
    works(cudaStreamSynchronize(stream));
    works(cudaMemPoolGetAttribute(pool, cudaMemPoolAttrReservedMemCurrent, &value));
    expect(value == 0);
    works(cudaMemPoolCreate(&own, &properties));
    works(cudaMallocFromPoolAsync(&first, MIB, own, stream));
    works(cudaFreeAsync(first, stream));
    works(cudaStreamSynchronize(stream));
    works(cudaMemPoolDestroy(own));
    works(cudaStreamDestroy(stream));
    works(cudaDeviceSynchronize());
    /* A stream's own few MiB may stay with the context. */
    expect(before - free_bytes() <= 2 * MIB);
}
#else
static void pools(void) {}
#endif

int main(int count_of_words, char **words) {
    if (refused(count_of_words, words)) return failures != 0;
    plain();
    pitched();
    arrays();
    host_memory();
    pools();
    works(cudaDeviceReset());
    return verdict();
}
