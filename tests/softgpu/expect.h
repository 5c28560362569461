/* Expectations that name themselves, go on, and are counted. */
#ifndef FASTGPU_EXPECT_H
#define FASTGPU_EXPECT_H

#include <stdio.h>

__attribute__((unused)) static int expectations, failures;

/* Says what was not so, and goes on. */
#define expect(condition)                                                                                              \
    do {                                                                                                               \
        expectations++;                                                                                                \
        if (!(condition)) failures++, printf("%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                   \
    } while (0)

/* The last line of a program, and its exit code. */
__attribute__((unused)) static int verdict(void) {
    printf("%d expectations, %d failures\n", expectations, failures);
    return failures != 0;
}

#endif
