/* Memory mapped by hand: who keeps physical memory alive, in which order it may be taken apart, what misuse answers. */
#include "probe.h"

static size_t step;
static CUallocProp props = {.type = 1, .location = {1, 0}};

static void taken(const char *when, size_t before) {
    char name[80];
    snprintf(name, sizeof name, "taken.%s", when);
    say(name, "%lld", (long long)before - (long long)free_bytes());
}

static void sizes(void) {
    size_t value = 0;
    CUallocProp host = {.type = 1, .location = {2, 0}}, odd = {.type = 9, .location = {1, 0}};
    CUallocProp shared = {.type = 1, .handle_types = 1, .location = {1, 0}};
    must(cuMemGetAllocationGranularity(&step, &props, 0));
    say("granularity.minimum", "%zu", step);
    must(cuMemGetAllocationGranularity(&value, &props, 1));
    say("granularity.recommended", "%zu", value);
    code("granularity.host", cuMemGetAllocationGranularity(&value, &host, 0));
    code("granularity.bad_type", cuMemGetAllocationGranularity(&value, &odd, 0));
    code("granularity.null", cuMemGetAllocationGranularity(NULL, &props, 0));
    CUmemHandle handle = 0;
    code("create.one_byte", cuMemCreate(&handle, 1, &props, 0));
    code("create.zero", cuMemCreate(&handle, 0, &props, 0));
    code("create.odd", cuMemCreate(&handle, step + 4096, &props, 0));
    code("create.null_props", cuMemCreate(&handle, step, NULL, 0));
    code("create.null_out", cuMemCreate(NULL, step, &props, 0));
    code("create.flags", cuMemCreate(&handle, step, &props, 1));
    code("create.too_much", cuMemCreate(&handle, (size_t)1 << 42, &props, 0));
    odd.type = 1, odd.location.id = 99;
    code("create.bad_device", cuMemCreate(&handle, step, &odd, 0));
    code("create.shareable", cuMemCreate(&handle, step, &shared, 0));
    int file = -1;
    code("create.export", cuMemExportToShareableHandle(&file, handle, 1, 0));
    say("create.export_is_file", "%d", file > 2);
    CUmemHandle imported = 0;
    code("create.import", cuMemImportFromShareableHandle(&imported, (void *)(intptr_t)file, 1));
    say("create.import_same_handle", "%d", imported == handle);
    code("create.release", cuMemRelease(handle));
    code("create.release_imported", cuMemRelease(imported));
    code("create.release_once_more", cuMemRelease(imported));
    close(file);
    code("release.zero", cuMemRelease(0));
}

static void reserve(void) {
    CUdeviceptr at = 0, hint = 0;
    code("reserve.zero", cuMemAddressReserve(&at, 0, 0, 0, 0));
    code("reserve.odd", cuMemAddressReserve(&at, step + 1, 0, 0, 0));
    code("reserve.odd_alignment", cuMemAddressReserve(&at, step, 3, 0, 0));
    code("reserve.large_alignment", cuMemAddressReserve(&at, step, 1ull << 30, 0, 0));
    say("reserve.large_alignment_held", "%d", (at & ((1ull << 30) - 1)) == 0);
    cuMemAddressFree(at, step);
    code("reserve.hint", cuMemAddressReserve(&hint, step, 0, 0x600000000000, 0));
    say("reserve.hint_kept", "%d", hint == 0x600000000000);
    code("reserve.free_part", cuMemAddressFree(hint, step / 2));
    code("reserve.free", cuMemAddressFree(hint, step));
    code("reserve.free_twice", cuMemAddressFree(hint, step));
    code("reserve.terabyte", cuMemAddressReserve(&at, 1ull << 40, 0, 0, 0));
    code("reserve.terabyte_free", cuMemAddressFree(at, 1ull << 40));
    code("reserve.null", cuMemAddressReserve(NULL, step, 0, 0, 0));
}

static void life(void) {
    CUdeviceptr at = 0;
    CUmemHandle handle = 0, retained = 0;
    CUaccessDesc access = {.location = {1, 0}, .flags = 3};
    size_t before = free_bytes();
    unsigned word = 0;
    must(cuMemAddressReserve(&at, 16 * step, 0, 0, 0));
    taken("reserved", before);
    must(cuMemCreate(&handle, 4 * step, &props, 0));
    taken("created", before);
    code("map.wild", cuMemMap(0x12340000000, step, 0, handle, 0));
    code("map.odd_address", cuMemMap(at + 4096, step, 0, handle, 0));
    code("map.odd_size", cuMemMap(at, 4096, 0, handle, 0));
    code("map.offset", cuMemMap(at, step, step, handle, 0));
    code("map.too_long", cuMemMap(at, 8 * step, 0, handle, 0));
    code("map.flags", cuMemMap(at, 4 * step, 0, handle, 1));
    code("map", cuMemMap(at, 4 * step, 0, handle, 0));
    code("map.again_same_place", cuMemMap(at, 4 * step, 0, handle, 0));
    code("map.again_other_place", cuMemMap(at + 4 * step, 4 * step, 0, handle, 0));
    code("use.before_access", cuMemsetD32_v2(at, 7, 4));
    unsigned long long flags = 77;
    code("access.get_before", cuMemGetAccess(&flags, &access.location, at));
    say("access.get_before_value", "%llu", flags);
    code("access.part", cuMemSetAccess(at, step, &access, 1));
    code("access", cuMemSetAccess(at, 4 * step, &access, 1));
    code("access.beyond", cuMemSetAccess(at, 12 * step, &access, 1));
    code("access.get", cuMemGetAccess(&flags, &access.location, at));
    say("access.get_value", "%llu", flags);
    access.location.id = 99;
    code("access.bad_device", cuMemSetAccess(at, 4 * step, &access, 1));
    access.location.id = 0, access.flags = 3;
    must(cuMemSetAccess(at + 4 * step, 4 * step, &access, 1));
    code("use.set", cuMemsetD32_v2(at, 7, 4));
    code("use.read_alias", cuMemcpyDtoH_v2(&word, at + 4 * step, 4));
    say("use.alias_value", "%u", word);
    code("retain", cuMemRetainAllocationHandle(&retained, (void *)at));
    say("retain.same_handle", "%d", retained == handle);
    code("retain.wild", cuMemRetainAllocationHandle(&retained, (void *)0x12345000));
    code("release.1", cuMemRelease(handle));
    taken("released_once_of_two", before);
    code("release.2", cuMemRelease(handle));
    taken("released_all_still_mapped", before);
    code("release.3", cuMemRelease(handle));
    code("use.after_release", cuMemcpyDtoH_v2(&word, at, 4));
    code("map.released_handle", cuMemMap(at + 8 * step, 4 * step, 0, handle, 0));
    code("unmap.released_handle", cuMemUnmap(at + 8 * step, 4 * step));
    code("free.mapped_by_hand", cuMemFree_v2(at));
    code("address_free.while_mapped", cuMemAddressFree(at, 16 * step));
    code("unmap.part", cuMemUnmap(at, step));
    code("unmap.first", cuMemUnmap(at, 4 * step));
    taken("one_of_two_mappings_left", before);
    code("unmap.twice", cuMemUnmap(at, 4 * step));
    code("unmap.second", cuMemUnmap(at + 4 * step, 4 * step));
    taken("nothing_left", before);
    code("use.after_unmap", cuMemcpyDtoH_v2(&word, at, 4));
    must(cuMemCreate(&handle, step, &props, 0));
    must(cuMemMap(at, step, 0, handle, 0));
    must(cuMemMap(at + step, step, 0, handle, 0));
    code("unmap.two_at_once", cuMemUnmap(at, 2 * step));
    taken("handle_alone", before);
    code("release.last", cuMemRelease(handle));
    taken("after_last_release", before);
    code("address_free", cuMemAddressFree(at, 16 * step));
    code("context.at_end", cuCtxSynchronize());
}

int main(void) {
    start();
    sizes();
    reserve();
    life();
    return 0;
}
