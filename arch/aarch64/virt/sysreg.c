// SPDX-License-Identifier: Apache-2.0
//
// Trapped system registers and system instructions of the guest (Arm DDI 0487, D19.2.37, exception class 0x18). Feature
// registers come from one array; the rest is a short table; what has no row is undefined.
#include <asm/virt.h>

#include "arch/aarch64/virt/exit.h"
#include "arch/aarch64/virt/idregs.h"

#define ID_SPACE SYSREG_ID(3, 0, 0, 0, 0)
#define ID_SPACE_MASK SYSREG_ID(3, 7, 15, 0, 0)
#define DEBUG_SPACE SYSREG_ID(2, 0, 0, 0, 0)
#define DEBUG_SPACE_MASK SYSREG_ID(3, 7, 0, 0, 0)
#define DEBUG_EL0_SPACE SYSREG_ID(2, 3, 0, 0, 0)
#define ISS_CRM(esr) ((unsigned)((esr) >> 1) & 15)
#define ISS_OP2(esr) ((unsigned)((esr) >> 17) & 7)
#define PFR_CRM 4u // ID_AA64PFR0_EL1
#define AA64PFR0_OP2 0u
#define AA64PFR0_GIC (UINT64_C(0xF) << 24)
#define VCPU_IPI_DIR 3u     // as struct virqchip_ops.send_sgi
#define OSLSR_OSLM BIT64(3) // OS lock implemented, unlocked

typedef enum exit_action (*reg_handler)(struct guest_frame *f, uint64_t esr);

static enum exit_action read_zero_write_ignored(struct guest_frame *f, uint64_t esr)
{
    if (esr & SYSREG_IS_READ) {
        frame_write(f, SYSREG_RT(esr), 0);
    }
    count_done(f);
    return EXIT_RESUME;
}

static enum exit_action reg_mdscr(struct guest_frame *f, uint64_t esr)
{
    if (esr & SYSREG_IS_READ) {
        frame_write(f, SYSREG_RT(esr), sysreg_read(mdscr_el1));
    } else {
        sysreg_write(mdscr_el1, frame_read(f, SYSREG_RT(esr)));
    }
    count_done(f);
    return EXIT_RESUME;
}

static enum exit_action reg_oslsr(struct guest_frame *f, uint64_t esr)
{
    if (esr & SYSREG_IS_READ) {
        frame_write(f, SYSREG_RT(esr), OSLSR_OSLM);
    }
    count_done(f);
    return EXIT_RESUME;
}

// Hot: no stack protector (here and where this is inlined), only other kinds of exit have arrays.
#define SGI_PATH __attribute__((no_stack_protector)) static enum exit_action

SGI_PATH send_sgi(struct guest_frame *f, uint64_t esr, unsigned which)
{
    struct vcpu_exit e;

    if ((esr & SYSREG_IS_READ) || f->vcpu->vm->no_icc) {
        f->pc -= 4; // write-only, or not there: the instruction itself is undefined
        inject_undefined(f);
        return EXIT_RESUME;
    }
    e.kind = VCPU_EXIT_IPI;
    e.ipi.which = which;
    e.ipi.value = frame_read(f, SYSREG_RT(esr));
    return f->vcpu->up->exit(f->vcpu, &e) == VCPU_LEAVE ? EXIT_LEAVE : EXIT_RESUME;
}

SGI_PATH reg_sgi1r(struct guest_frame *f, uint64_t esr)
{
    return send_sgi(f, esr, 0);
}

SGI_PATH reg_asgi1r(struct guest_frame *f, uint64_t esr)
{
    return send_sgi(f, esr, 1);
}

SGI_PATH reg_sgi0r(struct guest_frame *f, uint64_t esr)
{
    return send_sgi(f, esr, 2);
}

static enum exit_action reg_dir(struct guest_frame *f, uint64_t esr)
{
    return send_sgi(f, esr, VCPU_IPI_DIR);
}

static const struct {
    uint32_t id;
    reg_handler handler;
} regs[] = {
    {SYSREG_ID(3, 0, 12, 11, 1), reg_dir}, // traps while HCR_TDIR is set (drivers/irqchip/gic_virt.h)
    {SYSREG_ID(3, 0, 12, 11, 5), reg_sgi1r},
    {SYSREG_ID(3, 0, 12, 11, 6), reg_asgi1r},
    {SYSREG_ID(3, 0, 12, 11, 7), reg_sgi0r},
    {SYSREG_ID(2, 0, 0, 2, 2), reg_mdscr},
    {SYSREG_ID(2, 0, 1, 1, 4), reg_oslsr},
    {SYSREG_ID(3, 0, 1, 0, 1), read_zero_write_ignored}, // ACTLR_EL1
    // Cache maintenance by set and way cannot reach all caches of a shared machine, and guests' memory is kept coherent
    // by address (design section 4): the instructions have nothing left to do.
    {SYSREG_ID(1, 0, 7, 6, 2), read_zero_write_ignored},
    {SYSREG_ID(1, 0, 7, 10, 2), read_zero_write_ignored},
    {SYSREG_ID(1, 0, 7, 14, 2), read_zero_write_ignored},
};

static reg_handler find(uint32_t id)
{
    for (unsigned i = 0; i < ARRAY_SIZE(regs); i++) {
        if (regs[i].id == id) {
            return regs[i].handler;
        }
    }
    // Self-hosted debug: no breakpoints; everything but MDSCR_EL1 reads as zero.
    if ((id & DEBUG_SPACE_MASK) == DEBUG_SPACE || (id & DEBUG_SPACE_MASK) == DEBUG_EL0_SPACE) {
        return read_zero_write_ignored;
    }
    return NULL;
}

static uint64_t id_value(const struct guest_frame *f, unsigned crm, unsigned op2)
{
    uint64_t v = idregs_value(crm, op2);

    if (f->vcpu->vm->no_icc && crm == PFR_CRM) {
        v &= ~(op2 == AA64PFR0_OP2 ? AA64PFR0_GIC : 0);
    }
    return v;
}

enum exit_action exit_sysreg(struct guest_frame *f, uint64_t esr, bool full)
{
    uint32_t id = (uint32_t)esr & SYSREG_ID_MASK;
    unsigned rt = SYSREG_RT(esr);

    if (!full && frame_lacks(rt)) {
        return EXIT_FULL;
    }
    if ((id & ID_SPACE_MASK) == ID_SPACE && ISS_CRM(esr) - 1 < 7 && (esr & SYSREG_IS_READ)) {
        frame_write(f, rt, id_value(f, ISS_CRM(esr), ISS_OP2(esr)));
        frame_skip(f);
        count_done(f);
        return EXIT_RESUME;
    }
    reg_handler handler = find(id);
    if (!handler) {
        inject_undefined(f);
        count_done(f);
        return EXIT_RESUME;
    }
    frame_skip(f);
    return handler(f, esr);
}
