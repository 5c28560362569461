/* Which function the driver gives for a name, a version and a stream flag; reads symbol names from standard input.
 *
 * An answer is named after the exported symbol of that address, if there is one. Prints, for each base name, the
 * versions at which an answer changes. */
#include "probe.h"

static const int VERSIONS[] = {1000,  2000,  2010,  2020,  3000,  3010,  3020,  4000,  4010,  5000,  5050,  6000,
                               6050,  7000,  7050,  8000,  9000,  9010,  9020,  10000, 10010, 10020, 11000, 11010,
                               11020, 11030, 11040, 11050, 11060, 11070, 11080, 12000, 12010, 12020, 12030, 12040,
                               12050, 12060, 12070, 12080, 12090, 13000, 13010};
enum { VERSION_COUNT = sizeof VERSIONS / sizeof *VERSIONS, SYMBOLS_MAX = 4000, NAME_MAX_ = 200 };

static char symbols[SYMBOLS_MAX][NAME_MAX_];
static void *addresses[SYMBOLS_MAX];
static int symbol_count;

static const char *exported_as(void *address) {
    for (int index = 0; index < symbol_count; index++)
        if (addresses[index] == address) return symbols[index];
    return "unexported";
}

/* `cuMemAlloc_v2_ptsz` is a form of `cuMemAlloc`. */
static void base_of(const char *symbol, char *base) {
    strcpy(base, symbol);
    char *end = strstr(base, "_pts");
    if (!end) end = strstr(base, "_ptds");
    if (end) *end = 0;
    size_t length = strlen(base);
    if (length > 3 && base[length - 3] == '_' && base[length - 2] == 'v') base[length - 3] = 0;
}

/* `code status symbol` of one question. */
static void answer(const char *base, int version, int flag, char *text, size_t room) {
    void *const untouched = (void *)0xdead;
    void *found = untouched;
    int status = -1;
    CUresult result = cuGetProcAddress_v2(base, &found, version, (uint64_t)flag, &status);
    const char *word = !found ? "null" : found == untouched ? "untouched" : exported_as(found);
    snprintf(text, room, "%d %d %s", result, status, word);
}

static void ask(const char *base) {
    char name[NAME_MAX_ + 40], last[800] = "";
    for (int index = 0; index < VERSION_COUNT; index++) {
        char given[3][240], line[800];
        for (int flag = 0; flag < 3; flag++) answer(base, VERSIONS[index], flag, given[flag], sizeof given[flag]);
        if (strcmp(given[0], given[1]) == 0) snprintf(line, sizeof line, "legacy %s thread %s", given[1], given[2]);
        else snprintf(line, sizeof line, "default %s legacy %s thread %s", given[0], given[1], given[2]);
        if (strcmp(line, last) == 0) continue;
        snprintf(name, sizeof name, "symbol.%s.%d", base, VERSIONS[index]);
        say(name, "%s", line);
        strcpy(last, line);
    }
}

/* Nothing here needs an initialised driver, so each may be asked in a child of its own. */
static void misuse(void) {
    static void *found;
    static int status;
    static const void *table;
    char text[240];
    CUuuid zero = {{0}};
    risky("misuse.null_name", cuGetProcAddress_v2(NULL, &found, 13000, 0, &status));
    risky("misuse.null_out", cuGetProcAddress_v2("cuInit", NULL, 13000, 0, &status));
    risky("misuse.null_status", cuGetProcAddress_v2("cuInit", &found, 13000, 0, NULL));
    risky("misuse.null_status_unknown", cuGetProcAddress_v2("cuNothing", &found, 13000, 0, NULL));
    risky("misuse.old_form", cuGetProcAddress("cuInit", &found, 13000, 0));
    risky("misuse.old_form_unknown", cuGetProcAddress("cuNothing", &found, 13000, 0));
    risky("table.unknown", cuGetExportTable(&table, &zero));
    risky("table.null_id", cuGetExportTable(&table, NULL));
    risky("table.null_out", cuGetExportTable(NULL, &zero));
    answer("cuInit", 13000, 3, text, sizeof text), say("misuse.flags_3", "%s", text);
    answer("cuInit", 13000, 16, text, sizeof text), say("misuse.flags_16", "%s", text);
    answer("cuInit", -1, 0, text, sizeof text), say("misuse.negative_version", "%s", text);
    answer("", 13000, 0, text, sizeof text), say("misuse.empty", "%s", text);
    answer("cuMemAlloc_v2", 13000, 0, text, sizeof text), say("misuse.with_suffix", "%s", text);
    answer("cuMemcpy_ptds", 13000, 0, text, sizeof text), say("misuse.with_thread_suffix", "%s", text);
    answer("cuNothing", 13000, 0, text, sizeof text), say("misuse.unknown", "%s", text);
    answer("cudbgApiInit", 13000, 0, text, sizeof text), say("misuse.debugger", "%s", text);
}

int main(void) {
    char line[NAME_MAX_], base[NAME_MAX_], other[NAME_MAX_];
    driver_load();
    while (symbol_count < SYMBOLS_MAX && fgets(line, sizeof line, stdin)) {
        line[strcspn(line, " \n")] = 0;
        addresses[symbol_count] = dlsym(driver_library, line);
        if (addresses[symbol_count]) strcpy(symbols[symbol_count++], line);
    }
    say("symbol.count", "%d", symbol_count);
    misuse();
    must(cuInit(0));
    for (int index = 0; index < symbol_count; index++) {
        int seen = 0;
        base_of(symbols[index], base);
        for (int before = 0; before < index && !seen; before++) {
            base_of(symbols[before], other);
            seen = strcmp(other, base) == 0;
        }
        if (!seen && strncmp(base, "cudbg", 5) != 0) ask(base);
    }
    return 0;
}
