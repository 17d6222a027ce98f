// SPDX-License-Identifier: Apache-2.0
//
// GICv2 for guests: vCPUs that come and go, and the hardware's CPU interface (GICV) on fake list registers.
#include "tests/unit/vmm/irqchip/vgic_v2_bench.h"

static struct gic_virt_ops hw;

static void test_switch(void **state)
{
    (void)state;
    start(2);
    fake.on[1] = 0; // both on CPU 0
    on(0);
    fake.chip->ops->put(fake.chip, 0);
    fake.chip->ops->load(fake.chip, 0);
    setup(0, SPI, 0x80);
    setup(0, TIMER, 0xa0);
    line(SPI, true);
    fake_phys(0, TIMER, true);
    fake_take_phys(0);
    assert_int_equal(cc(0, C_IAR), SPI);
    on(0);
    fake.chip->ops->put(fake.chip, 0);
    assert_int_equal(fake.vcpu[0].arch.irq_lines, 0);
    assert_false(fake_here()->active[TIMER]); // moves with the vCPU
    fake.chip->ops->load(fake.chip, 1);
    idle(1);
    fake.chip->ops->put(fake.chip, 1);
    fake.chip->ops->load(fake.chip, 0);
    assert_true(fake_here()->active[TIMER]);
    assert_int_equal(cc(0, C_RPR), 0x80);
    line(SPI, false);
    set_cc(0, C_EOIR, SPI);
    fake_phys(0, TIMER, false);
    serve(0, TIMER);
    idle(0);
    on(1);
    fake.chip->ops->load(fake.chip, 1);
    fake.chip->ops->put(fake.chip, 1);
    on(0);
    fake.chip->ops->load(fake.chip, 0);
    stop();
}

static void test_save(void **state)
{
    uint8_t buf[16384], again[16384];
    uint32_t size;

    (void)state;
    start(2);
    setup(0, SPI, 0x80);
    setup(0, SPI + 1, 0x40);
    wr(0, FAKE_GICD + ITARGETSR + SPI, 0x01010201);
    wr(1, FAKE_GICD + SGIR, 1u << 16 | 3);
    wr(0, FAKE_GICD + SGIR, 1u << 16 | 3);
    line(SPI, true);
    for (unsigned v = 0; v < 2; v++) {
        on(v);
        fake.chip->ops->put(fake.chip, v);
    }
    size = fake.chip->ops->save(fake.chip, buf, sizeof(buf));
    assert_true(size <= sizeof(buf));
    fake.chip->ops->reset(fake.chip);
    assert_int_equal(fake.chip->ops->restore(fake.chip, buf, size), OK);
    assert_int_equal(fake.chip->ops->save(fake.chip, again, sizeof(again)), size);
    assert_memory_equal(buf, again, 24 + 2 * 120); // all of the vCPUs
    for (unsigned v = 0; v < 2; v++) {
        on(v);
        fake.chip->ops->load(fake.chip, v);
    }
    serve(0, 3);
    serve(0, 1u << 10 | 3);
    assert_int_equal(cc(0, C_IAR), SPI);
    line(SPI, false);
    set_cc(0, C_EOIR, SPI);
    line(SPI + 1, true);
    idle(0);
    assert_int_equal(cc(1, C_IAR), SPI + 1);
    stop();
}

static void test_reset_while_loaded(void **state)
{
    (void)state;
    start(1);
    setup(0, SPI, 0x80);
    setup(0, TIMER, 0x80);
    fake_phys(0, TIMER, true);
    fake_take_phys(0);
    line(SPI, true);
    assert_int_equal(lines(0), VCPU_LINE_IRQ);
    fake.chip->ops->reset(fake.chip);
    on(0);
    fake.chip->ops->put(fake.chip, 0);
    assert_false(fake_here()->active[TIMER]);
    fake.chip->ops->load(fake.chip, 0);
    idle(0);
    assert_int_equal(cc(0, C_CTLR), 0);
    assert_int_equal(cc(0, C_PMR), 0);
    stop();
}

// ---- the hardware's CPU interface -----------------------------------------------------------------------

static void start_gicv(unsigned vcpus)
{
    hw = fake_virt;
    hw.version = 2;
    hw.gicv = hpa(GICV_PA);
    hw.gicv_size = 0x2000;
    gic_virt_set(&hw);
    create(vcpus, 256, OK);
    wr(0, FAKE_GICD + CTLR, 3);
    for (unsigned v = 0; v < vcpus; v++) {
        on(v);
        fake_here()->vmcr = VMCR_GRP0 | UINT64_C(0xf8) << VMCR_PMR_SHIFT;
    }
}

static void test_gicv_mapped(void **state)
{
    struct mem_attr attr;
    uint64_t size;
    hpa_t pa;

    (void)state;
    start_gicv(2);
    assert_int_equal(aspace_lookup(&fake.vm.stage2, GICC, &pa, &attr, &size), OK);
    assert_int_equal(pa.v, GICV_PA);
    assert_int_equal(attr.type, MEM_DEVICE);
    assert_int_equal(attr.perm, PERM_R | PERM_W);
    assert_int_equal(aspace_lookup(&fake.vm.stage2, GICC + 0x1000, &pa, &attr, &size), E_NOENT);
    setup(0, SPI, 0x80);
    line(SPI, true);
    on(0);
    assert_int_equal(fake_ack(0), SPI);
    line(SPI, false);
    fake_end(0, SPI);
    assert_int_equal(fake.vcpu[0].arch.irq_lines, 0); // the hardware signals
    for (unsigned v = 0; v < 2; v++) {
        on(v);
        fake.chip->ops->put(fake.chip, v);
    }
    fake.chip->ops->destroy(fake.chip);
    assert_int_equal(aspace_lookup(&fake.vm.stage2, GICC, &pa, &attr, &size), E_NOENT);
    end_machine();
}

static void test_gicv_sgi(void **state)
{
    (void)state;
    start_gicv(2);
    wr(1, FAKE_GICD + SGIR, 1u << 16 | 3);
    wr(0, FAKE_GICD + SGIR, 1u << 16 | 3);
    on(0);
    fake_enter(0);
    assert_int_equal((fake_here()->lr[0] & LR_SOURCE_MASK) >> LR_SOURCE_SHIFT, 1);
    for (unsigned i = 0; i < 2; i++) {
        unsigned id = fake_ack(0);

        assert_int_equal(id, (1 - i) << LR_SOURCE_SHIFT | 3);
        fake_end(0, id);
    }
    assert_int_equal(fake_ack(0), FAKE_SPURIOUS);
    stop();
}

static void test_gicv_dir(void **state)
{
    (void)state;
    start_gicv(1);
    fake_here()->vmcr |= VMCR_EOIM;
    for (unsigned i = 0; i < 8; i++) {
        wr(0, FAKE_GICD + ISACTIVER + 4, 1u << (SPI + i - 32));
    }
    assert_int_equal(rd(0, FAKE_GICD + ISACTIVER + 4), 0xffu << (SPI - 32));
    set_cc(0, C_DIR, SPI + 6);
    set_cc(0, C_DIR, SPI + 1);
    set_cc(0, C_DIR, 1023);
    set_cc(0, C_DIR, 999);
    assert_int_equal(rd(0, FAKE_GICD + ISACTIVER + 4), 0xbdu << (SPI - 32));
    fake_here()->vmcr &= ~VMCR_EOIM;
    set_cc(0, C_DIR, SPI);
    assert_int_equal(rd(0, FAKE_GICD + ISACTIVER + 4), 0xbdu << (SPI - 32));
    assert_int_equal(cc(0, C_DIR), 0);
    stop();
}

static void test_gicv_unusable(void **state)
{
    (void)state;
    hw = fake_virt;
    hw.version = 2;
    hw.gicv = hpa(GICV_PA + 0x800); // shares its page with who knows what
    hw.gicv_size = 0x2000;
    gic_virt_set(&hw);
    create(1, 64, OK);
    assert_ptr_equal(vgic_of(fake.chip)->hw, &vgic_cpuif_ops);
    stop();
    gic_virt_set(NULL); // no virtualisation extension at all
    create(1, 64, OK);
    setup(0, SPI, 0x10);
    stop();
}

static void test_create_errors(void **state)
{
    (void)state;
    gic_virt_set(NULL);
    create(9, 64, E_INVAL);
    end_machine();
    create(1, 2000, E_INVAL);
    end_machine();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_switch),
        cmocka_unit_test(test_save),
        cmocka_unit_test(test_reset_while_loaded),
        cmocka_unit_test(test_gicv_mapped),
        cmocka_unit_test(test_gicv_sgi),
        cmocka_unit_test(test_gicv_dir),
        cmocka_unit_test(test_gicv_unusable),
        cmocka_unit_test(test_create_errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
