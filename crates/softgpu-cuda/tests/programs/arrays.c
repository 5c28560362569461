/* Arrays of planes and levels, textures and surfaces: what they charge, what is given back, what is refused. */
#include "driver.h"

#define MIB ((size_t)1 << 20)

typedef struct CUarray_st *CUarray;
typedef struct CUmipmappedArray_st *CUmipmappedArray;
typedef struct {
    size_t width, height, depth;
    unsigned format, channels, flags;
} CUarray3DDesc;
typedef struct {
    int type;
    union {
        void *object;
        struct {
            CUdeviceptr at;
            unsigned format, channels;
            size_t width, height, pitch;
        };
        int reserved[32];
    };
    unsigned flags;
} CUresourceDesc;
typedef struct {
    int address[3], filter;
    unsigned flags, anisotropy;
    int level_filter;
    float levels[3], border[4];
    int reserved[12];
} CUtextureDesc;
typedef struct {
    int format;
    size_t extent[3];
    unsigned parts[4], reserved[16];
} CUviewDesc;

CUresult cuArray3DCreate_v2(CUarray *, const CUarray3DDesc *);
CUresult cuArray3DGetDescriptor_v2(CUarray3DDesc *, CUarray);
CUresult cuArrayDestroy(CUarray);
CUresult cuArrayGetPlane(CUarray *, CUarray, unsigned);
CUresult cuArrayGetMemoryRequirements(uint64_t[4], CUarray, CUdevice);
CUresult cuArrayGetSparseProperties(uint64_t[6], CUarray);
CUresult cuMipmappedArrayCreate(CUmipmappedArray *, const CUarray3DDesc *, unsigned);
CUresult cuMipmappedArrayGetLevel(CUarray *, CUmipmappedArray, unsigned);
CUresult cuMipmappedArrayDestroy(CUmipmappedArray);
CUresult cuMipmappedArrayGetMemoryRequirements(uint64_t[4], CUmipmappedArray, CUdevice);
CUresult cuTexObjectCreate(uint64_t *, const CUresourceDesc *, const CUtextureDesc *, const CUviewDesc *);
CUresult cuTexObjectDestroy(uint64_t);
CUresult cuTexObjectGetResourceDesc(CUresourceDesc *, uint64_t);
CUresult cuTexObjectGetTextureDesc(CUtextureDesc *, uint64_t);
CUresult cuTexObjectGetResourceViewDesc(CUviewDesc *, uint64_t);
CUresult cuSurfObjectCreate(uint64_t *, const CUresourceDesc *);
CUresult cuSurfObjectDestroy(uint64_t);
CUresult cuSurfObjectGetResourceDesc(CUresourceDesc *, uint64_t);

_Static_assert(sizeof(CUresourceDesc) == 144 && sizeof(CUtextureDesc) == 104 && sizeof(CUviewDesc) == 112, "as in the driver's interface");

static size_t free_bytes(void) {
    size_t bytes;
    MUST(cuMemGetInfo_v2(&bytes, NULL));
    return bytes;
}

static void planes(void) {
    CUarray3DDesc desc = {.width = 1920, .height = 1080, .format = 0xb0, .channels = 3}, seen;
    CUarray video, luma, chroma, again, plain;
    size_t before = free_bytes();
    MUST(cuArray3DCreate_v2(&video, &desc));
    TRUE(before - free_bytes() == 4 * MIB);
    MUST(cuArrayGetPlane(&luma, video, 0));
    MUST(cuArrayGetPlane(&chroma, video, 1));
    MUST(cuArrayGetPlane(&again, video, 1));
    TRUE(again == chroma && luma != chroma);
    MUST(cuArray3DGetDescriptor_v2(&seen, luma));
    TRUE(seen.width == 1920 && seen.height == 1080 && seen.format == 1 && seen.channels == 1);
    MUST(cuArray3DGetDescriptor_v2(&seen, chroma));
    TRUE(seen.width == 960 && seen.height == 540 && seen.format == 1 && seen.channels == 2);
    EXPECT(1, cuArrayGetPlane(&again, video, 2));
    EXPECT(1, cuArrayGetPlane(NULL, video, 0));
    EXPECT(400, cuArrayGetPlane(&again, (CUarray)0x30, 0));
    EXPECT(400, cuArrayDestroy(luma));
    desc = (CUarray3DDesc){.width = 64, .height = 64, .format = 0x20, .channels = 1};
    MUST(cuArray3DCreate_v2(&plain, &desc));
    EXPECT(1, cuArrayGetPlane(&again, plain, 0));
    EXPECT(1, cuArrayGetMemoryRequirements((uint64_t[4]){0}, plain, 0));
    EXPECT(101, cuArrayGetMemoryRequirements((uint64_t[4]){0}, plain, 7));
    EXPECT(1, cuArrayGetSparseProperties((uint64_t[6]){0}, plain));
    MUST(cuArrayDestroy(plain));
    MUST(cuArrayDestroy(video));
    EXPECT(400, cuArray3DGetDescriptor_v2(&seen, chroma));
    TRUE(free_bytes() == before);
    desc.flags = 0x80;
    EXPECT(801, cuArray3DCreate_v2(&plain, &desc));
}

static void levels(void) {
    CUarray3DDesc desc = {.width = 2048, .height = 1024, .format = 0x20, .channels = 4}, seen;
    CUmipmappedArray mipmap, other;
    CUarray level, last;
    size_t before = free_bytes();
    MUST(cuMipmappedArrayCreate(&mipmap, &desc, 100));
    /* 32 MiB, a quarter of that, and so on down to one element. */
    TRUE(before - free_bytes() == 44 * MIB);
    MUST(cuMipmappedArrayGetLevel(&level, mipmap, 3));
    MUST(cuArray3DGetDescriptor_v2(&seen, level));
    TRUE(seen.width == 256 && seen.height == 128 && seen.depth == 0);
    MUST(cuMipmappedArrayGetLevel(&last, mipmap, 11));
    MUST(cuArray3DGetDescriptor_v2(&seen, last));
    TRUE(seen.width == 1 && seen.height == 1);
    EXPECT(1, cuMipmappedArrayGetLevel(&last, mipmap, 12));
    EXPECT(1, cuMipmappedArrayGetLevel(NULL, mipmap, 0));
    EXPECT(400, cuMipmappedArrayGetLevel(&last, (CUmipmappedArray)0x10, 0));
    EXPECT(400, cuArrayDestroy(level));
    EXPECT(1, cuMipmappedArrayGetMemoryRequirements((uint64_t[4]){0}, mipmap, 0));
    MUST(cuMipmappedArrayDestroy(mipmap));
    EXPECT(400, cuMipmappedArrayDestroy(mipmap));
    EXPECT(400, cuArray3DGetDescriptor_v2(&seen, level));
    TRUE(free_bytes() == before);
    /* Layers do not get fewer; a cube has six sides. */
    desc = (CUarray3DDesc){.width = 64, .height = 64, .depth = 6, .format = 0x01, .channels = 1, .flags = 4};
    MUST(cuMipmappedArrayCreate(&other, &desc, 7));
    MUST(cuMipmappedArrayGetLevel(&level, other, 6));
    MUST(cuArray3DGetDescriptor_v2(&seen, level));
    TRUE(seen.width == 1 && seen.height == 1 && seen.depth == 6);
    desc.height = 32;
    EXPECT(1, cuMipmappedArrayCreate(&mipmap, &desc, 1));
    desc = (CUarray3DDesc){.width = 64, .height = 64, .format = 0x77, .channels = 1};
    EXPECT(1, cuMipmappedArrayCreate(&mipmap, &desc, 1));
    EXPECT(1, cuMipmappedArrayCreate(&mipmap, NULL, 1));
    EXPECT(1, cuMipmappedArrayCreate(NULL, &desc, 1));
    desc = (CUarray3DDesc){.width = 16384, .height = 16384, .depth = 4096, .format = 0x20, .channels = 1};
    EXPECT(2, cuMipmappedArrayCreate(&mipmap, &desc, 1));
}

static void textures(void) {
    CUarray3DDesc desc = {.width = 64, .height = 64, .format = 0x20, .channels = 1};
    CUresourceDesc of_array = {0}, of_levels = {.type = 1}, linear = {.type = 2}, sheet = {.type = 3}, seen;
    CUtextureDesc sampling = {.address = {1, 1, 1}, .filter = 1, .anisotropy = 4, .border = {1, 2, 3, 4}}, sampled;
    CUviewDesc view = {.format = 0x16, .extent = {64, 64, 0}}, viewed;
    CUmipmappedArray mipmap;
    CUdeviceptr at;
    CUarray array;
    uint64_t texture, surface, other;
    MUST(cuArray3DCreate_v2(&array, &desc));
    MUST(cuMipmappedArrayCreate(&mipmap, &desc, 3));
    MUST(cuMemAlloc_v2(&at, 64 << 10));
    of_array.object = array, of_levels.object = mipmap;
    linear.at = at, linear.format = 0x20, linear.channels = 4, linear.width = 64 << 10;
    sheet.at = at, sheet.format = 0x01, sheet.channels = 1, sheet.width = 100, sheet.height = 512, sheet.pitch = 128;
    MUST(cuTexObjectCreate(&texture, &of_array, &sampling, &view));
    TRUE(texture != 0);
    MUST(cuTexObjectGetResourceDesc(&seen, texture));
    TRUE(seen.type == 0 && seen.object == array);
    MUST(cuTexObjectGetTextureDesc(&sampled, texture));
    TRUE(sampled.anisotropy == 4 && sampled.border[3] == 4 && sampled.filter == 1);
    MUST(cuTexObjectGetResourceViewDesc(&viewed, texture));
    TRUE(viewed.format == 0x16 && viewed.extent[1] == 64);
    MUST(cuTexObjectDestroy(texture));
    EXPECT(1, cuTexObjectDestroy(texture));
    EXPECT(1, cuTexObjectGetResourceDesc(&seen, texture));
    MUST(cuTexObjectCreate(&texture, &linear, &sampling, NULL));
    EXPECT(1, cuTexObjectGetResourceViewDesc(&viewed, texture));
    MUST(cuTexObjectCreate(&other, &sheet, &sampling, NULL));
    TRUE(other != texture);
    EXPECT(1, cuTexObjectCreate(&other, &of_levels, &sampling, NULL));
    sampling.flags = 2;
    MUST(cuTexObjectCreate(&other, &of_levels, &sampling, NULL));
    EXPECT(1, cuTexObjectCreate(&other, &linear, &sampling, &view));
    EXPECT(1, cuTexObjectCreate(NULL, &linear, &sampling, NULL));
    EXPECT(1, cuTexObjectCreate(&other, NULL, &sampling, NULL));
    EXPECT(1, cuTexObjectCreate(&other, &linear, NULL, NULL));
    linear.at = at + 4;
    EXPECT(1, cuTexObjectCreate(&other, &linear, &sampling, NULL));
    linear.at = at, linear.width = 4 << 20;
    EXPECT(1, cuTexObjectCreate(&other, &linear, &sampling, NULL));
    sheet.pitch = 101;
    EXPECT(1, cuTexObjectCreate(&other, &sheet, &sampling, NULL));
    of_array.flags = 1;
    EXPECT(1, cuTexObjectCreate(&other, &of_array, &sampling, NULL));
    of_array.flags = 0;
    MUST(cuSurfObjectCreate(&surface, &of_array));
    MUST(cuSurfObjectGetResourceDesc(&seen, surface));
    TRUE(seen.object == array);
    EXPECT(1, cuSurfObjectCreate(&other, &linear));
    EXPECT(1, cuSurfObjectDestroy(texture));
    EXPECT(1, cuTexObjectDestroy(surface));
    MUST(cuSurfObjectDestroy(surface));
    EXPECT(1, cuSurfObjectDestroy(surface));
    MUST(cuArrayDestroy(array));
    EXPECT(1, cuTexObjectCreate(&other, &of_array, &sampling, NULL));
}

int main(void) {
    CUcontext context = context_on(0);
    planes();
    levels();
    textures();
    /* A context that ends takes what is left with it. */
    MUST(cuCtxDestroy_v2(context));
    EXPECT(709, cuTexObjectDestroy(1));
    return 0;
}
