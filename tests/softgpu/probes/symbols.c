/* Which function the driver gives for a name, a version and a stream flag; reads symbol names from standard input.
 *
 * Two answers are one function if their addresses are equal; an answer is named after an exported symbol of that
 * address, if there is one. Prints, for each base name, the versions at which the answer changes. */
#include "probe.h"

static const int VERSIONS[] = {1000,  2000,  2010,  2020,  3000,  3010,  3020,  4000,  4010,  5000,  5050,  6000,  6050,  7000,  7050, 8000,
                               9000,  9010,  9020,  10000, 10010, 10020, 11000, 11010, 11020, 11030, 11040, 11050, 11060, 11070, 11080,
                               12000, 12010, 12020, 12030, 12040, 12050, 12060, 12070, 12080, 12090, 13000, 13010, 13020, 14000};
enum { VERSION_COUNT = sizeof VERSIONS / sizeof *VERSIONS, SYMBOLS_MAX = 4000 };

static char *symbols[SYMBOLS_MAX];
static void *addresses[SYMBOLS_MAX];
static int symbol_count;

static const char *exported_as(void *address) {
    for (int index = 0; index < symbol_count; index++)
        if (addresses[index] == address) return symbols[index];
    return "unexported";
}

static void base_of(const char *symbol, char *base) {
    strcpy(base, symbol);
    char *end = strstr(base, "_pts");
    if (!end) end = strstr(base, "_ptds");
    if (end) *end = 0;
    size_t length = strlen(base);
    if (length > 3 && base[length - 3] == '_' && base[length - 2] == 'v') base[length - 3] = 0;
}

static void ask(const char *base, int flag, const char *word) {
    char name[160];
    void *last = (void *)-1;
    int last_status = -1, last_code = -1;
    for (int index = 0; index < VERSION_COUNT; index++) {
        void *found = (void *)0xdead;
        int status = -1;
        CUresult result = cuGetProcAddress_v2(base, &found, VERSIONS[index], (uint64_t)flag, &status);
        if (found == last && status == last_status && (int)result == last_code) continue;
        snprintf(name, sizeof name, "symbol.%s.%s.%d", base, word, VERSIONS[index]);
        say(name, "%d status %d %s", result, status, found == NULL ? "null" : found == (void *)0xdead ? "untouched" : exported_as(found));
        last = found, last_status = status, last_code = result;
    }
}

static void misuse(void) {
    void *found = (void *)0xdead;
    int status = -1;
    code("misuse.null_out", cuGetProcAddress_v2("cuInit", NULL, 13000, 0, &status));
    code("misuse.null_status", cuGetProcAddress_v2("cuInit", &found, 13000, 0, NULL));
    code("misuse.null_status_unknown", cuGetProcAddress_v2("cuNothing", &found, 13000, 0, NULL));
    code("misuse.flags_3", cuGetProcAddress_v2("cuInit", &found, 13000, 3, &status));
    code("misuse.flags_16", cuGetProcAddress_v2("cuInit", &found, 13000, 16, &status));
    found = (void *)0xdead;
    code("misuse.empty", cuGetProcAddress_v2("", &found, 13000, 0, &status));
    say("misuse.empty_sets", "%s %d", found == NULL ? "null" : found == (void *)0xdead ? "untouched" : "set", status);
    found = (void *)0xdead;
    code("misuse.with_suffix", cuGetProcAddress_v2("cuMemAlloc_v2", &found, 13000, 0, &status));
    say("misuse.with_suffix_sets", "%s %d", found == NULL ? "null" : exported_as(found), status);
    code("misuse.negative_version", cuGetProcAddress_v2("cuInit", &found, -1, 0, &status));
    code("misuse.old_form", cuGetProcAddress("cuInit", &found, 13000, 0));
    code("misuse.old_form_unknown", cuGetProcAddress("cuNothing", &found, 13000, 0));
    CUuuid zero = {{0}};
    const void *table = (void *)0xdead;
    code("table.unknown", cuGetExportTable(&table, &zero));
    say("table.unknown_sets", "%s", table == NULL ? "null" : table == (void *)0xdead ? "untouched" : "set");
    code("table.null_id", cuGetExportTable(&table, NULL));
    code("table.null_out", cuGetExportTable(NULL, &zero));
}

int main(void) {
    char line[256], base[256], last[256] = "";
    driver_load();
    while (symbol_count < SYMBOLS_MAX && fgets(line, sizeof line, stdin)) {
        line[strcspn(line, " \n")] = 0;
        void *address = dlsym(driver_library, line);
        if (!address) continue;
        symbols[symbol_count] = strdup(line);
        addresses[symbol_count++] = address;
    }
    say("symbol.count", "%d", symbol_count);
    must(cuInit(0));
    misuse();
    for (int index = 0; index < symbol_count; index++) {
        base_of(symbols[index], base);
        if (strcmp(base, last) == 0) continue;
        int seen = 0;
        for (int before = 0; before < index && !seen; before++) {
            char other[256];
            base_of(symbols[before], other);
            seen = strcmp(other, base) == 0;
        }
        strcpy(last, base);
        if (seen) continue;
        ask(base, 0, "default"), ask(base, 1, "legacy"), ask(base, 2, "thread");
    }
    return 0;
}
