// SPDX-License-Identifier: Apache-2.0
//
// Random bytes follow from all that is unpredictable at boot, and no two calls give the same.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/host/host.h"
#include "kernel/dev/random.h"

#define SIZE 100

// random_init() changes the stack protector's value: no caller of it may return through a check.
uintptr_t __stack_chk_guard;

static void draw(struct boot_info *bi, uint8_t out[SIZE])
{
    random_init(bi);
    random_bytes(out, SIZE);
}

static void entropy_counts(void **state)
{
    static struct boot_info bi;
    uint8_t first[SIZE], second[SIZE];

    (void)state;
    host_boot(MIB(64), 1);
    draw(&bi, first);
    assert_false(random_seeded());
    bi.entropy[31] = 1; // not said to be any
    draw(&bi, second);
    assert_false(random_seeded());
    bi.has_entropy = true;
    draw(&bi, first);
    assert_true(random_seeded());
    assert_memory_not_equal(first, second, SIZE);
    random_bytes(second, SIZE);
    assert_memory_not_equal(first, second, SIZE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(entropy_counts)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
