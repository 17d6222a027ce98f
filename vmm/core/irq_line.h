// SPDX-License-Identifier: Apache-2.0
//
// Virtual interrupt controllers and their inputs, as devices and vCPUs see them.
#pragma once

#include "kernel/lib/status.h"
#include "kernel/lib/types.h"

struct vm;
struct vcpu;
struct virqchip;

struct virqchip_ops {
    const char *name;
    void (*reset)(struct virqchip *chip);
    void (*destroy)(struct virqchip *chip);

    // Level of a wired input that devices drive: `line` is the number the plan gave out (aarch64: INTID). Any thread.
    void (*set_line)(struct virqchip *chip, unsigned line, bool level);
    // A per-vCPU input (aarch64: a PPI such as the timers'). Any thread; on the vCPU's own CPU when it is loaded.
    void (*set_vcpu_line)(struct virqchip *chip, unsigned vcpu, unsigned line, bool level);
    enum status (*send_msi)(struct virqchip *chip, uint32_t device_id, uint64_t address, uint32_t data);

    // On the vCPU's own CPU, interrupts masked. load/put: the vCPU's interface registers into and out of the hardware.
    void (*load)(struct virqchip *chip, unsigned vcpu);
    void (*put)(struct virqchip *chip, unsigned vcpu);
    // put() of `from`, then load() of vCPU `to` of another controller with the same operations: the usual switch of vCPUs.
    // NULL: it is done by these parts.
    void (*swap)(struct virqchip *chip, unsigned from, struct virqchip *next, unsigned to);
    // Before entry, when VCPU_REQ_IRQ is set: folds back what the guest did and offers what is pending now.
    void (*flush)(struct virqchip *chip, unsigned vcpu);
    // The controller's maintenance interrupt arrived while this vCPU was loaded.
    void (*maintenance)(struct virqchip *chip, unsigned vcpu);
    // Would an interrupt be taken if the guest had its mask open? Wakes a vCPU from WFI. Any thread.
    bool (*pending)(struct virqchip *chip, unsigned vcpu);
    // A host interrupt is forwarded: hardware-linked delivery of `host_irq` as `line` of this vCPU. True: the guest
    // will deactivate it. On the vCPU's own CPU, interrupts masked.
    bool (*forward)(struct virqchip *chip, unsigned vcpu, unsigned line, unsigned host_irq);
    // Has the guest not yet deactivated what was forwarded as `line` of this vCPU? Until then the host interrupt stays silent.
    // On the vCPU's own CPU when it is loaded. NULL: nothing is ever forwarded.
    bool (*forwarded)(struct virqchip *chip, unsigned vcpu, unsigned line);
    // A trapped write to the guest's "send SGI" register (aarch64: which = 0 SGI1R, 1 ASGI1R, 2 SGI0R; 3: DIR,
    // "deactivate interrupt").
    void (*send_sgi)(struct virqchip *chip, unsigned vcpu, unsigned which, uint64_t value);

    // A trapped access to a CPU register of the controller (riscv64 AIA, vmm/irqchip/vaia.h). A write sets and clears bits of the
    // old value, which comes back in *old. False: there is no such register. NULL: there is none at all.
    bool (*sysreg)(struct virqchip *chip, unsigned vcpu, unsigned number, bool write, uint64_t set,
                   uint64_t clear, uint64_t *old);

    // x86_64: the vCPU takes the interrupt that pending() told of: its vector, or negative. On its own CPU, interrupts masked.
    int (*acknowledge)(struct virqchip *chip, unsigned vcpu);

    // x86_64: the vCPU begins anew, so does its local APIC. On the vCPU's thread, before it is loaded. NULL: nothing of it ends then.
    void (*started)(struct virqchip *chip, unsigned vcpu);

    uint32_t (*save)(const struct virqchip *chip, void *buf, uint32_t size); // bytes needed or written
    enum status (*restore)(struct virqchip *chip, const void *buf, uint32_t size);
};

struct virqchip {
    const struct virqchip_ops *ops;
    struct vm *vm;
    unsigned vcpu_count;
    // Set by vmm/core: "vCPU n has something new": posts VCPU_REQ_IRQ and kicks. Any context.
    void (*notify)(struct vm *vm, unsigned vcpu);
    // Set by vmm/core: runs fn(ctx) on the CPU whose registers hold vCPU n's state, interrupts masked, and waits for it. False:
    // no CPU's do. In an exit handler of another vCPU, no lock held; two may ask each other. NULL: cannot be asked.
    bool (*ask)(struct vm *vm, unsigned vcpu, void (*fn)(void *ctx), void *ctx);
};

// One input, held by a device. A line that is not wired ignores everything.
struct irq_line {
    struct virqchip *chip; // NULL: not wired
    unsigned line;
};

static inline void irq_line_set(const struct irq_line *l, bool level)
{
    if (l->chip) {
        l->chip->ops->set_line(l->chip, l->line, level);
    }
}
