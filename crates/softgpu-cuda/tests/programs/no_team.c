/* A device without others at the end of its links is in no team. */
#include "driver.h"

CUresult cuDeviceGetAttribute(int *, int, CUdevice);
CUresult cuMulticastCreate(uint64_t *, const uint64_t[4]);

int main(void) {
    uint64_t team, props[4] = {1, 2 << 20};
    int can = 7;
    context_on(0);
    MUST(cuDeviceGetAttribute(&can, 132, 0));
    TRUE(can == 0);
    EXPECT(801, cuMulticastCreate(&team, props));
    return 0;
}
