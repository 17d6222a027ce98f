// SPDX-License-Identifier: Apache-2.0
//
// The key `irqchip`: what it puts into a riscv64 guest's plan, and where it is refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/config/config.h"
#include "vmm/config/plan.h"

static struct config config;
static struct config_errors errors;
static uint8_t arena[KIB(128)];

static enum status load(const char *arch, const char *keys)
{
    char text[512];
    struct config_source source = {.name = "t.toml", .text = text};
    const struct config_env env = {.arch = arch};

    memset(&errors, 0, sizeof(errors));
    source.len = (size_t)snprintf(
        text, sizeof(text), "[[vm]]\nname = \"a\"\nmemory = \"16M\"\n%s\n[vm.boot]\nkernel = \"k\"\n", keys);
    return config_load(&config, &source, 1, &env, arena, sizeof(arena), &errors);
}

static const struct plan_fixed *find(const struct vm_plan *plan, const char *name)
{
    for (unsigned i = 0; i < plan->fixed_count; i++) {
        if (strcmp(plan->fixed[i].name, name) == 0) {
            return &plan->fixed[i];
        }
    }
    return NULL;
}

static void plic_is_normal(void **state)
{
    static const char *const keys[] = {"", "irqchip = \"auto\"", "irqchip = \"plic\""};
    struct vm_plan plan;

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(keys); i++) {
        assert_int_equal(load("riscv64", keys[i]), OK);
        assert_int_equal(plan_build(&plan, &config.vms[0], "riscv64", &errors), OK);
        assert_non_null(find(&plan, "PLIC"));
        assert_non_null(find(&plan, "test device"));
        assert_null(find(&plan, "APLIC"));
        assert_null(find(&plan, "IMSIC"));
    }
}

static void aia_replaces_it(void **state)
{
    struct vm_plan plan;

    (void)state;
    assert_int_equal(load("riscv64", "irqchip = \"aia\"\ncpus = 4"), OK);
    assert_int_equal(config.vms[0].irqchip, IRQCHIP_AIA);
    assert_int_equal(plan_build(&plan, &config.vms[0], "riscv64", &errors), OK);
    assert_null(find(&plan, "PLIC"));
    assert_int_equal(find(&plan, "APLIC")->base, 0x0d000000);
    assert_int_equal(find(&plan, "IMSIC")->base, 0x28000000);
    assert_int_equal(find(&plan, "IMSIC")->size, 4 * 0x1000);
    assert_string_equal(plan_describe(&plan, 0x28003fff), "IMSIC");
}

static void others_refuse_it(void **state)
{
    (void)state;
    assert_int_equal(load("aarch64", "irqchip = \"aia\""), E_CONFIG);
    assert_int_equal(errors.list[0].line, 4);
    assert_non_null(strstr(errors.list[0].text, "vm.irqchip"));
    assert_int_equal(load("x86_64", "irqchip = \"plic\""), E_CONFIG);
    assert_int_equal(load("x86_64", "irqchip = \"auto\""), OK);
    assert_int_equal(load("riscv64", "irqchip = \"gic\""), E_CONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plic_is_normal),
        cmocka_unit_test(aia_replaces_it),
        cmocka_unit_test(others_refuse_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
