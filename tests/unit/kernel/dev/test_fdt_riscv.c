// SPDX-License-Identifier: Apache-2.0
//
// Enumeration of riscv64 machines: trees in the shape that QEMU's `virt` dumps them, with a PLIC and with
// AIA, and what damaged ones do.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernel/dev/fdt_boot.h"
#include "kernel/dev/fdt_enum.h"
#include "kernel/dev/hw_desc.h"
#include "tests/unit/kernel/dev/fdt_builder.h"

enum {
    CPU1 = 2,
    CPU0 = 4,
    CHIP = 5,
    IMSIC_S = 6,
    APLIC_S = 8
};

static void cpu(const char *name, uint32_t hart, uint32_t phandle)
{
    node(name);
    text("device_type", "cpu");
    CELLS("reg", hart);
    text("compatible", "riscv");
    text("riscv,isa", "rv64imafdch_zicsr_zifencei");
    node("interrupt-controller");
    CELLS("#interrupt-cells", 1);
    text("compatible", "riscv,cpu-intc");
    CELLS("phandle", phandle);
    end();
    end();
}

static void begin_machine(void)
{
    begin_tree(2, 2, 0);
    text("compatible", "riscv-virtio");
    node("memory@80000000");
    text("device_type", "memory");
    CELLS("reg", 0, 0x80000000, 0, 0x10000000);
    end();
    node("chosen");
    text("stdout-path", "/soc/serial@10000000");
    end();
    node("cpus");
    CELLS("#address-cells", 1);
    CELLS("#size-cells", 0);
    cpu("cpu@0", 0, CPU0);
    cpu("cpu@1", 1, CPU1);
    end();
    node("soc");
    CELLS("#address-cells", 2);
    CELLS("#size-cells", 2);
    text("compatible", "simple-bus");
    assert_int_equal(fdt_property(blob, "ranges", NULL, 0), 0);
}

static void end_machine(void)
{
    end();
    end_tree();
}

static void build_plic(void)
{
    begin_machine();
    node("serial@10000000");
    CELLS("interrupts", 10);
    CELLS("interrupt-parent", CHIP);
    CELLS("reg", 0, 0x10000000, 0, 0x100);
    text("compatible", "ns16550a");
    end();
    node("plic@c000000");
    CELLS("phandle", CHIP);
    CELLS("riscv,ndev", 95);
    CELLS("reg", 0, 0xc000000, 0, 0x600000);
    CELLS("interrupts-extended", CPU0, 11, CPU0, 9, CPU1, 0xffffffff, CPU1, 9, 77, 9);
    CELLS("#interrupt-cells", 1);
    assert_int_equal(fdt_property(blob, "compatible", "sifive,plic-1.0.0\0riscv,plic0", 30), 0);
    end();
    node("odd@1");
    CELLS("interrupts", 0, 1024, 3);
    CELLS("interrupt-parent", CHIP);
    text("compatible", "test,odd");
    end();
    end_machine();
}

static void build_aia(void)
{
    begin_machine();
    node("serial@10000000");
    CELLS("interrupts", 10, 4);
    CELLS("interrupt-parent", APLIC_S);
    CELLS("reg", 0, 0x10000000, 0, 0x100);
    text("compatible", "ns16550a");
    end();
    node("edges@1");
    CELLS("interrupts", 11, 1, 12, 2, 13, 8, 14);
    CELLS("interrupt-parent", APLIC_S);
    text("compatible", "test,edges");
    end();
    node("aplic@d000000");
    CELLS("phandle", APLIC_S);
    CELLS("riscv,num-sources", 96);
    CELLS("reg", 0, 0xd000000, 0, 0x8000);
    CELLS("msi-parent", IMSIC_S);
    CELLS("#interrupt-cells", 2);
    text("compatible", "riscv,aplic");
    end();
    node("imsics@28000000");
    CELLS("phandle", IMSIC_S);
    CELLS("reg", 0, 0x28000000, 0, 0x8000);
    CELLS("interrupts-extended", CPU0, 9, CPU1, 9);
    CELLS("#interrupt-cells", 0);
    text("compatible", "riscv,imsics");
    end();
    end_machine();
}

static const struct hw_desc *find(unsigned from, const char *name)
{
    for (unsigned i = from; i < hw_count(); i++) {
        if (strcmp(hw_get(i)->name, name) == 0) {
            return hw_get(i);
        }
    }
    fail_msg("%s was not found", name);
    return NULL;
}

static unsigned scan(void (*build)(void))
{
    struct boot_info bi = {.fdt = {0x88000000}, .boot_cpu_hw_id = 0};
    unsigned before = hw_count();

    build();
    assert_int_equal(fdt_boot_parse(&bi, blob, BLOB_SIZE), OK);
    assert_int_equal(fdt_enum_scan(&bi), OK);
    return before;
}

static void plic_sources(void **state)
{
    unsigned from = scan(build_plic);
    const struct hw_desc *uart = find(from, "serial@10000000");

    (void)state;
    assert_int_equal(uart->irq_count, 1);
    assert_int_equal(uart->irqs[0].irq, HW_RISCV_SOURCE + 10);
    assert_true(uart->irqs[0].level);
    assert_true(uart->is_console);
    assert_int_equal(find(from, "odd@1")->irq_count, 1); // 0 and 1024 are no sources
    assert_int_equal(find(from, "odd@1")->irqs[0].irq, HW_RISCV_SOURCE + 3);
}

static void plic_contexts(void **state)
{
    unsigned from = scan(build_plic);
    const struct hw_desc *plic = find(from, "plic@c000000");
    static const struct hw_cpu_irq want[] = {{0, 11}, {0, 9}, {1, UINT32_MAX}, {1, 9}};
    struct hw_cpu_irq got;

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(want); i++) {
        assert_true(hw_cpu_irq(plic, i, &got));
        assert_int_equal(got.cpu_hw_id, want[i].cpu_hw_id);
        assert_int_equal(got.irq, want[i].irq);
    }
    assert_false(hw_cpu_irq(plic, 4, &got)); // nobody has that phandle
    assert_false(hw_cpu_irq(plic, 5, &got));
    assert_false(hw_cpu_irq(plic, UINT32_MAX, &got));
    assert_false(hw_cpu_irq(find(from, "serial@10000000"), 0, &got));
}

static void aplic_sources(void **state)
{
    unsigned from = scan(build_aia);
    const struct hw_desc *uart = find(from, "serial@10000000");
    const struct hw_desc *edges = find(from, "edges@1");

    (void)state;
    assert_int_equal(uart->irqs[0].irq, HW_RISCV_SOURCE + 10);
    assert_true(uart->irqs[0].level);
    assert_int_equal(edges->irq_count, 3); // the last one is cut short
    assert_false(edges->irqs[0].level);
    assert_false(edges->irqs[1].level);
    assert_true(edges->irqs[2].level);
}

static void imsic_harts(void **state)
{
    unsigned from = scan(build_aia);
    const struct hw_desc *imsic = find(from, "imsics@28000000");
    struct hw_cpu_irq got;
    uint32_t parent;

    (void)state;
    assert_true(hw_cpu_irq(imsic, 1, &got));
    assert_int_equal(got.cpu_hw_id, 1);
    assert_int_equal(got.irq, 9);
    assert_false(hw_cpu_irq(imsic, 2, &got));
    assert_true(hw_prop_u32(find(from, "aplic@d000000"), "msi-parent", &parent));
    assert_int_equal(parent, IMSIC_S);
}

// Any byte may be wrong.
static void damaged_trees_do_no_harm(void **state)
{
    uint32_t r = 1;

    (void)state;
    for (unsigned round = 0; round < 400; round++) {
        struct boot_info bi = {.fdt = {0x88000000}, .boot_cpu_hw_id = 0};
        unsigned from = hw_count();
        struct hw_cpu_irq got;

        build_plic();
        for (unsigned n = 0; n < 4; n++) {
            r = r * 1664525 + 1013904223;
            blob[64 + (r >> 8) % (fdt_totalsize(blob) - 64)] ^= (unsigned char)(1u << (r >> 28 & 7));
        }
        if (fdt_boot_parse(&bi, blob, BLOB_SIZE) != OK) {
            continue;
        }
        (void)!fdt_enum_scan(&bi);
        for (unsigned i = from; i < hw_count(); i++) {
            for (unsigned n = 0; n < 6; n++) {
                (void)hw_cpu_irq(hw_get(i), n, &got);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plic_sources),
        cmocka_unit_test(plic_contexts),
        cmocka_unit_test(aplic_sources),
        cmocka_unit_test(imsic_harts),
        cmocka_unit_test(damaged_trees_do_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
