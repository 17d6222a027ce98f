// SPDX-License-Identifier: Apache-2.0
//
// Feeds the virtual GIC random register accesses, SGIs, lines, forwarded interrupts, guest acknowledgements
// and vCPU moves. Whatever comes, it must neither crash nor leave a maintenance interrupt asserted nor lose
// track of a list register.
#include <stdlib.h>

#include "tests/unit/vmm/irqchip/fake_gic.h"

#define VCPUS 3u

struct input {
    const uint8_t *data;
    size_t left;
};

static unsigned byte(struct input *in)
{
    if (in->left == 0) {
        return 0;
    }
    in->left--;
    return *in->data++;
}

static uint64_t word(struct input *in)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < 4; i++) {
        v = v << 8 | byte(in);
    }
    return v;
}

static void demand(bool ok)
{
    if (!ok) {
        abort();
    }
}

static void do_access(struct input *in, unsigned vcpu)
{
    unsigned kind = byte(in);
    uint64_t off = (uint64_t)byte(in) << 8 | byte(in);
    uint64_t value = word(in);
    uint64_t base = kind & 1 ? FAKE_GICD : FAKE_GICR + (uint64_t)(kind >> 1 & 7) % (2 * VCPUS) * 0x10000;
    unsigned size = 1u << (kind >> 4 & 3);

    if (kind & 0x40) {
        off &= 0xfffu;
    }
    if (off + size > 0x10000) {
        return;
    }
    if (kind & 0x80) {
        fake_write(vcpu, base + off, size, value << 32 | value);
    } else {
        fake_read(vcpu, base + off, size);
    }
}

static void do_move(unsigned vcpu)
{
    fake.current = fake.on[vcpu];
    fake.chip->ops->put(fake.chip, vcpu);
    for (unsigned i = 16; i < 32; i++) { // its timers stay behind, disarmed
        demand(!fake_here()->active[i]);
        fake_here()->line[i] = false;
    }
    fake.on[vcpu] = fake.on[vcpu] == vcpu ? VCPUS + vcpu : vcpu;
    fake.current = fake.on[vcpu];
    fake.chip->ops->load(fake.chip, vcpu);
}

// What must hold between any two steps.
static void check(void)
{
    struct vgic *g = vgic_of(fake.chip);

    demand(!fake.stuck);
    for (unsigned v = 0; v < VCPUS; v++) {
        struct vgic_cpu *cpu = &g->cpus[v];

        demand((cpu->used & ~g->lr_mask) == 0);
        for (unsigned n = 0; n < fake.lrs; n++) {
            uint64_t lr = fake.cpu[fake.on[v]].lr[n];

            demand(!(lr & FAKE_STATE) || (cpu->used >> n & 1)); // nothing live that is not known
            for (unsigned k = 0; k < n; k++) {                  // no interrupt twice
                uint64_t other = fake.cpu[fake.on[v]].lr[k];

                demand(!(lr & FAKE_STATE) || !(other & FAKE_STATE) ||
                       (lr & LR_VINTID_MASK) != (other & LR_VINTID_MASK));
            }
        }
        demand((unsigned)(__builtin_popcount(cpu->priv.in_lr) + __builtin_popcount(cpu->spi_lrs)) ==
               (unsigned)__builtin_popcount(cpu->used));
    }
}

static void step(struct input *in)
{
    unsigned op = byte(in);
    unsigned vcpu = (op >> 4) % VCPUS;
    unsigned irq;

    switch (op & 15) {
    case 0:
        irq = fake_ack(vcpu);
        if (byte(in) & 1 && irq != FAKE_SPURIOUS) {
            fake_end(vcpu, irq);
        }
        break;
    case 1:
        fake_end(vcpu, byte(in)); // right or not
        break;
    case 2:
    case 3:
        fake_line(32 + byte(in) % 72, (op & 1) != 0);
        break;
    case 4:
        fake.chip->ops->set_vcpu_line(fake.chip, vcpu, byte(in) & 31, (op >> 4 & 1) != 0);
        break;
    case 5:
        fake.current = fake.on[vcpu];
        fake.chip->ops->send_sgi(fake.chip, vcpu, byte(in) % 3, word(in) << 16 | byte(in));
        break;
    case 6:
        irq = 16 + (byte(in) & 15);
        fake_phys(vcpu, irq, (op >> 4 & 1) != 0);
        break;
    case 7:
        do_move(vcpu);
        break;
    case 8:
        fake_enter_all();
        break;
    case 9:
        fake.current = fake.on[vcpu];
        fake.chip->ops->pending(fake.chip, vcpu);
        break;
    case 10:
        fake_dir(vcpu, byte(in)); // right or not
        break;
    case 11: // EOI mode, binary points, CBPR
        fake.cpu[fake.on[vcpu]].vmcr ^= word(in) & (VMCR_EOIM | VMCR_CBPR | MASK64(VMCR_BPR1_SHIFT, 6));
        break;
    default:
        do_access(in, vcpu);
        break;
    }
    fake_take_phys(vcpu);
    check();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {.data = data, .left = size};
    unsigned lrs = byte(&in) & 15;

    if (!fake_start(VCPUS, lrs + 1, 64)) {
        return 0;
    }
    fake_write(0, FAKE_GICD, 4, 3);
    for (unsigned v = 0; v < VCPUS; v++) {
        fake_write(v, fake_gicr(v, 0x10100), 4, UINT32_MAX);
    }
    fake_write(0, FAKE_GICD + 0x104, 4, UINT32_MAX);
    while (in.left > 0) {
        step(&in);
    }
    fake_stop();
    return 0;
}
