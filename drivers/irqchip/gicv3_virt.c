// SPDX-License-Identifier: Apache-2.0
//
// GICv3 virtual CPU interface (Arm IHI 0069, 12.4). The registers take effect at the next context
// synchronisation, and entering the guest (ERET) is one: no ISB follows a write here, except where a read
// depends on it.
#include "drivers/irqchip/gicv3_virt.h"

#include "drivers/irqchip/gic_virt.h"
#include "drivers/irqchip/gicv3_sysreg.h"

#define ICH_VTR_LISTREGS(vtr) ((unsigned)((vtr)&0x1f) + 1)
#define ICH_VTR_PREBITS(vtr) ((unsigned)((vtr) >> 26 & 7) + 1)
#define ICH_VTR_PRIBITS(vtr) ((unsigned)((vtr) >> 29 & 7) + 1)

#define ICH_VTR_TDS BIT64(19)
#define ICH_HCR_TC BIT64(10)
#define ICH_HCR_TALL0 BIT64(11)
#define ICH_HCR_TALL1 BIT64(12)

static unsigned lr_total;
static unsigned apr_total; // active priority registers of each group: 1, 2 or 4
static unsigned pri_bits;

static unsigned lr_count(void)
{
    return lr_total;
}

static unsigned priority_bits(void)
{
    return pri_bits;
}

#define LR_READ_CASE(n) \
    case n:             \
        return read_ich_lr##n()
#define LR_WRITE_CASE(n)        \
    case n:                     \
        write_ich_lr##n(value); \
        break

static uint64_t read_lr(unsigned n)
{
    switch (n) {
        LR_READ_CASE(0);
        LR_READ_CASE(1);
        LR_READ_CASE(2);
        LR_READ_CASE(3);
        LR_READ_CASE(4);
        LR_READ_CASE(5);
        LR_READ_CASE(6);
        LR_READ_CASE(7);
        LR_READ_CASE(8);
        LR_READ_CASE(9);
        LR_READ_CASE(10);
        LR_READ_CASE(11);
        LR_READ_CASE(12);
        LR_READ_CASE(13);
        LR_READ_CASE(14);
        LR_READ_CASE(15);
    default:
        return 0;
    }
}

__attribute__((noinline)) static void write_lr_high(unsigned n, uint64_t value)
{
    switch (n) {
        LR_WRITE_CASE(4);
        LR_WRITE_CASE(5);
        LR_WRITE_CASE(6);
        LR_WRITE_CASE(7);
        LR_WRITE_CASE(8);
        LR_WRITE_CASE(9);
        LR_WRITE_CASE(10);
        LR_WRITE_CASE(11);
        LR_WRITE_CASE(12);
        LR_WRITE_CASE(13);
        LR_WRITE_CASE(14);
        LR_WRITE_CASE(15);
    default:
        break;
    }
}

// Two bits decide: on the way of every injected interrupt, a jump table would be most of the cost.
static void write_lr(unsigned n, uint64_t value)
{
    if (n >= 4) {
        write_lr_high(n, value);
    } else if (n & 2) {
        if (n & 1) {
            write_ich_lr3(value);
        } else {
            write_ich_lr2(value);
        }
    } else if (n & 1) {
        write_ich_lr1(value);
    } else {
        write_ich_lr0(value);
    }
}

static uint64_t elrsr(void)
{
    return read_ich_elrsr();
}

static uint64_t eisr(void)
{
    return read_ich_eisr();
}

static uint32_t read_hcr(void)
{
    return (uint32_t)read_ich_hcr();
}

static void write_hcr(uint32_t value)
{
    write_ich_hcr(value);
}

// More than five bits of priority: rare, and kept out of the way of the switch.
__attribute__((noinline)) static void load_wide(const struct gic_virt_state *state)
{
    write_ich_ap0r1(state->ap0r[1]);
    write_ich_ap1r1(state->ap1r[1]);
    if (apr_total >= 4) {
        write_ich_ap0r2(state->ap0r[2]);
        write_ich_ap0r3(state->ap0r[3]);
        write_ich_ap1r2(state->ap1r[2]);
        write_ich_ap1r3(state->ap1r[3]);
    }
}

__attribute__((noinline)) static void save_wide(struct gic_virt_state *state)
{
    state->ap0r[1] = (uint32_t)read_ich_ap0r1();
    state->ap1r[1] = (uint32_t)read_ich_ap1r1();
    if (apr_total >= 4) {
        state->ap0r[2] = (uint32_t)read_ich_ap0r2();
        state->ap0r[3] = (uint32_t)read_ich_ap0r3();
        state->ap1r[2] = (uint32_t)read_ich_ap1r2();
        state->ap1r[3] = (uint32_t)read_ich_ap1r3();
    }
}

// ICC_SRE_EL1 is written again for each vCPU: where the hardware lets a guest clear SRE, the next guest must
// not see it.
static inline void load(const struct gic_virt_state *state)
{
    write_icc_sre_el1(ICC_SRE_SRE | ICC_SRE_DFB | ICC_SRE_DIB);
    write_ich_vmcr(state->vmcr);
    write_ich_ap0r0(state->ap0r[0]);
    write_ich_ap1r0(state->ap1r[0]);
    if (__builtin_expect(apr_total >= 2, false)) {
        load_wide(state);
    }
}

static inline void save(struct gic_virt_state *state)
{
    state->vmcr = read_ich_vmcr();
    state->ap0r[0] = (uint32_t)read_ich_ap0r0();
    state->ap1r[0] = (uint32_t)read_ich_ap1r0();
    if (__builtin_expect(apr_total >= 2, false)) {
        save_wide(state);
    }
}

static void load_all(const struct gic_virt_state *state, uint32_t lrs)
{
    load(state);
    for (; lrs; lrs &= lrs - 1) {
        unsigned n = (unsigned)__builtin_ctz(lrs);

        write_lr(n, state->lr[n]);
    }
    write_ich_hcr(state->hcr);
}

static uint32_t put(struct gic_virt_state *state, uint32_t used)
{
    uint32_t live = used & ~(uint32_t)read_ich_elrsr();

    save(state);
    for (uint32_t left = live; left; left &= left - 1) {
        unsigned n = (unsigned)__builtin_ctz(left);

        state->lr[n] = read_lr(n);
        write_lr(n, 0);
    }
    write_ich_hcr(0);
    return live;
}

// For one active priority register of each group.
static bool swap(struct gic_virt_state *from, uint32_t used, const struct gic_virt_state *to)
{
    if (used & ~(uint32_t)read_ich_elrsr()) {
        return false;
    }
    from->vmcr = read_ich_vmcr();
    from->ap0r[0] = (uint32_t)read_ich_ap0r0();
    from->ap1r[0] = (uint32_t)read_ich_ap1r0();
    write_icc_sre_el1(ICC_SRE_SRE | ICC_SRE_DFB | ICC_SRE_DIB);
    write_ich_vmcr(to->vmcr);
    write_ich_ap0r0(to->ap0r[0]);
    write_ich_ap1r0(to->ap1r[0]);
    write_ich_hcr(to->hcr);
    return true;
}

// ICC_SRE_EL1 has a trap of its own, ICC_SRE_EL2.Enable = 0, where that bit can be cleared.
static void hide(bool hidden)
{
    uint64_t sre = read_icc_sre_el2();

    write_ich_hcr(hidden ? ICH_HCR_TC | ICH_HCR_TALL0 | ICH_HCR_TALL1 : 0);
    write_icc_sre_el2(hidden ? sre & ~ICC_SRE_EL2_ENABLE : sre | ICC_SRE_EL2_ENABLE);
}

static struct gic_virt_ops ops = {
    .version = 3,
    .hide = hide,
    .lr_count = lr_count,
    .priority_bits = priority_bits,
    .read_lr = read_lr,
    .write_lr = write_lr,
    .elrsr = elrsr,
    .eisr = eisr,
    .read_hcr = read_hcr,
    .write_hcr = write_hcr,
    .load = load,
    .save = save,
    .load_all = load_all,
    .put = put,
};

void gicv3_virt_probe(unsigned maintenance_irq)
{
    uint64_t vtr = read_ich_vtr();
    unsigned prebits = ICH_VTR_PREBITS(vtr);

    lr_total = ICH_VTR_LISTREGS(vtr) < GIC_LR_MAX ? ICH_VTR_LISTREGS(vtr) : GIC_LR_MAX;
    pri_bits = ICH_VTR_PRIBITS(vtr);
    apr_total = prebits <= 5 ? 1 : 1u << (prebits - 5);
    ops.swap = apr_total == 1 ? swap : NULL;
    ops.maintenance_irq = maintenance_irq;
    ops.traps_dir = (vtr & ICH_VTR_TDS) != 0;
    gic_virt_set(&ops);
}

void gicv3_virt_init_cpu(void)
{
    static const struct gic_virt_state empty;

    write_ich_hcr(0);
    for (unsigned n = 0; n < lr_total; n++) {
        write_lr(n, 0);
    }
    load(&empty);
    gic_isb();
}
