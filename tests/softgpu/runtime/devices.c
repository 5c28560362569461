/* The CUDA runtime's questions about devices. */
#include "check.h"

int main(int count_of_words, char **words) {
    if (refused(count_of_words, words)) return failures != 0;
    int count = 0, version = 0, value = 0, device = -1;
    struct cudaDeviceProp properties;
    char bus[32] = "";
    size_t limit = 0;

    works(cudaDriverGetVersion(&version));
    expect(version == 13000);
    works(cudaRuntimeGetVersion(&version));
    expect(version == CUDART_VERSION);
    works(cudaGetDeviceCount(&count));
    expect(count >= 1);
    for (int index = 0; index < count; index++) {
        memset(&properties, 0, sizeof properties);
        works(cudaGetDeviceProperties(&properties, index));
        expect(strlen(properties.name) > 4);
        expect(properties.totalGlobalMem > 1024 * MIB);
        expect(properties.major >= 7 && properties.warpSize == 32 && properties.maxThreadsPerBlock == 1024);
        expect(properties.multiProcessorCount > 0 && properties.totalConstMem == 65536);
#if CUDART_VERSION >= 12000
        expect(properties.unifiedAddressing == 1 && properties.memoryPoolsSupported == 1);
#endif
        works(cudaDeviceGetAttribute(&value, cudaDevAttrMultiProcessorCount, index));
        expect(value == properties.multiProcessorCount);
        works(cudaDeviceGetPCIBusId(bus, sizeof bus, index));
        works(cudaDeviceGetByPCIBusId(&device, bus));
        expect(device == index);
        int zero = 1;
        for (int byte = 0; byte < 16; byte++) zero &= properties.uuid.bytes[byte] == 0;
        expect(!zero);
    }
    answers(cudaSetDevice(99), cudaErrorInvalidDevice);
    answers(cudaGetLastError(), cudaErrorInvalidDevice);
    works(cudaGetLastError());
    works(cudaSetDevice(count - 1));
    works(cudaGetDevice(&device));
    expect(device == count - 1);
    works(cudaDeviceSynchronize());
    works(cudaDeviceGetLimit(&limit, cudaLimitStackSize));
    expect(limit == 1024);
    works(cudaDeviceSetLimit(cudaLimitStackSize, 2048));
    works(cudaDeviceGetLimit(&limit, cudaLimitStackSize));
    expect(limit >= 2048);
    works(cudaDeviceGetStreamPriorityRange(&value, &device));
    expect(value == 0 && device == -5);
    works(cudaDeviceCanAccessPeer(&value, 0, count - 1));
    works(cudaDeviceReset());
    works(cudaSetDevice(0));
    works(cudaFree(NULL));
    works(cudaDeviceReset());
    return verdict();
}
