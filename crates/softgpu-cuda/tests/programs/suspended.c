/* Says its pid and its memory's place, then answers each line it reads with what the memory holds. */
#include <unistd.h>

#include "driver.h"

int main(int count, char **words) {
    CUdeviceptr at;
    char line[16];
    context_on(0);
    int managed = count > 1 && !strcmp(words[1], "managed");
    MUST(managed ? cuMemAllocManaged(&at, 64 << 20, 1) : cuMemAlloc_v2(&at, 64 << 20));
    MUST(cuMemsetD32Async(at, 4711, 1024, NULL));
    MUST(cuCtxSynchronize());
    printf("%d\n", (int)getpid());
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        unsigned word = 0;
        MUST(cuMemcpyDtoH_v2(&word, at + 4092, 4));
        printf("%u\n", word);
        fflush(stdout);
    }
    return 0;
}
