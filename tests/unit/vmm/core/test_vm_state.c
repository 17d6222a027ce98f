// SPDX-License-Identifier: Apache-2.0
//
// The table of states and operations is the one that docs/lifecycle.md prints. Runs in the root of the tree.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "kernel/lib/types.h"
#include "vmm/core/vm_state.h"

static const char *const verdicts[] =
    {[VM_REFUSE] = "refuse", [VM_NOTHING] = "nothing", [VM_DO] = "do", [VM_LATER] = "later"};

static void test_as_documented(void **state)
{
    FILE *f = fopen("docs/lifecycle.md", "r");
    char line[512], want[512];
    unsigned found = 0;

    (void)state;
    assert_non_null(f);
    while (fgets(line, sizeof(line), f)) {
        for (unsigned s = 0; s < VM_STATE_COUNT; s++) {
            int n = snprintf(want, sizeof(want), "| %s |", vm_state_name((enum vm_state)s));

            if (strncmp(line, want, (size_t)n) != 0) {
                continue;
            }
            for (unsigned op = 0; op < VM_OP_COUNT; op++) {
                n += snprintf(want + n, sizeof(want) - (size_t)n, " %s |",
                              verdicts[vm_transition((enum vm_state)s, (enum vm_op)op)]);
            }
            line[strcspn(line, "\n")] = '\0';
            assert_string_equal(line, want);
            found++;
        }
    }
    fclose(f);
    assert_int_equal(found, VM_STATE_COUNT);
}

static void test_strange_values(void **state)
{
    (void)state;
    assert_int_equal(vm_transition(VM_STATE_COUNT, VM_OP_START), VM_REFUSE);
    assert_int_equal(vm_transition(VM_RUNNING, VM_OP_COUNT), VM_REFUSE);
    assert_int_equal(vm_transition((enum vm_state)UINT32_MAX, (enum vm_op)UINT32_MAX), VM_REFUSE);
    assert_string_equal(vm_state_name(VM_STATE_COUNT), "?");
    assert_string_equal(vm_op_name(VM_OP_COUNT), "?");
    assert_string_equal(vm_op_name(VM_OP_DESTROY), "destroy");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_documented),
        cmocka_unit_test(test_strange_values),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
