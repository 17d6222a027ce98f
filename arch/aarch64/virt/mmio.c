// SPDX-License-Identifier: Apache-2.0
//
// Stage-2 aborts: accesses to emulated registers and to nothing at all (Arm DDI 0487, D19.2.37, "ISS encoding for an
// exception from a Data Abort", and D19.2.61, HPFAR_EL2).
#include "arch/aarch64/virt/a64_mmio.h"
#include "arch/aarch64/virt/exit.h"

#define HPFAR_FIPA_SHIFT 4
#define PAGE_OFFSET MASK64(0, PAGE_SHIFT)
#define VECTOR_CURRENT_SPX 0x200u // where an abort at EL1 goes, above VBAR_EL1
#define PAR_FAULT BIT64(0)
#define PAR_PA MASK64(12, 40)

// The guest physical address of the abort. HPFAR_EL2 holds it only for translation and access-flag faults; for a
// permission fault the guest's own translation is asked again, which another of its CPUs may have changed meanwhile.
static bool fault_gpa(uint64_t esr, uint64_t far, gpa_t *out)
{
    if ((DABT_FSC(esr) & FSC_TYPE_MASK) != FSC_PERMISSION || (esr & DABT_S1PTW)) {
        *out = gpa((sysreg_read(hpfar_el2) >> HPFAR_FIPA_SHIFT << PAGE_SHIFT) | (far & PAGE_OFFSET));
        return true;
    }
    uint64_t saved = sysreg_read(par_el1);
    asm volatile("at s1e1r, %0\n\tisb" ::"r"(far) : "memory");
    uint64_t par = sysreg_read(par_el1);
    sysreg_write(par_el1, saved);
    if (par & PAR_FAULT) {
        return false;
    }
    *out = gpa((par & PAR_PA) | (far & PAGE_OFFSET));
    return true;
}

static enum exit_action mmio_unclaimed(struct guest_frame *f, uint64_t far)
{
    inject_abort(f, far, false, false);
    return EXIT_RESUME;
}

// Sign-extends the `size` bytes of `v`, to 64 bits or to 32 as the destination register has it.
static uint64_t extend(uint64_t v, unsigned size, bool to64)
{
    unsigned unused = 64 - 8 * size;
    uint64_t wide = (uint64_t)((int64_t)(v << unused) >> unused);

    return to64 ? wide : (uint32_t)wide;
}

static enum exit_action mmio_by_syndrome(struct guest_frame *f, uint64_t esr, gpa_t where, bool full)
{
    unsigned reg = DABT_SRT(esr);
    struct vcpu_exit e;

    if (!full && frame_lacks(reg)) {
        return EXIT_FULL;
    }
    e.kind = VCPU_EXIT_MMIO;
    e.mmio.gpa = where;
    e.mmio.size = (uint8_t)(1u << DABT_SAS(esr));
    e.mmio.write = esr & DABT_WNR;
    e.mmio.exec = false;
    e.mmio.value = 0;
    if (e.mmio.write) {
        e.mmio.value = frame_read(f, reg) & MASK64(0, 8 * e.mmio.size);
    }
    switch (f->vcpu->up->exit(f->vcpu, &e)) {
    case VCPU_ABORT:
        return mmio_unclaimed(f, sysreg_read(far_el2));
    case VCPU_LEAVE:
        return EXIT_LEAVE;
    case VCPU_RESUME:
        break;
    }
    if (!e.mmio.write) {
        uint64_t v = e.mmio.value;
        frame_write(f, reg, esr & DABT_SSE ? extend(v, e.mmio.size, esr & DABT_SF) : v);
    }
    frame_skip(f);
    return EXIT_RESUME;
}

// External aborts and memory errors: HPFAR_EL2 says nothing about them.
static bool is_external(uint64_t esr)
{
    return (DABT_FSC(esr) & FSC_CLASS_MASK) == FSC_SEA;
}

enum exit_action exit_mmio(struct guest_frame *f, uint64_t esr, bool full)
{
    uint64_t far = sysreg_read(far_el2);
    gpa_t where;

    if ((esr & DABT_S1PTW) || is_external(esr)) { // the guest's page tables lie where no memory is, or memory itself failed
        inject_abort(f, far, false, esr & DABT_S1PTW);
        return EXIT_RESUME;
    }
    if (esr & DABT_CM) { // cache maintenance of what is no memory: nothing to do
        frame_skip(f);
        return EXIT_RESUME;
    }
    if (!fault_gpa(esr, far, &where)) {
        return EXIT_RESUME; // the mapping changed under us: let the instruction fault again
    }
    if (esr & DABT_ISV) {
        return mmio_by_syndrome(f, esr, where, full);
    }
    return full ? mmio_by_decoding(f, esr, where, far) : EXIT_FULL;
}

// The abort came from fetching the very instruction where the guest would be sent to handle it.
static bool at_own_abort_vector(const struct guest_frame *f)
{
    return (f->pstate & SPSR_EL_MASK) == SPSR_EL1H && f->pc == sysreg_read(vbar_el1) + VECTOR_CURRENT_SPX;
}

enum exit_action exit_fetch(struct guest_frame *f, uint64_t esr, bool full)
{
    uint64_t far = sysreg_read(far_el2);
    struct vcpu_exit e = {.kind = VCPU_EXIT_MMIO, .mmio = {.size = 4, .exec = true}};

    if (!full) {
        return EXIT_FULL;
    }
    // The core only counts and reports this; no device serves instructions.
    if (!(esr & DABT_S1PTW) && !is_external(esr) && fault_gpa(esr, far, &e.mmio.gpa) &&
        f->vcpu->up->exit(f->vcpu, &e) == VCPU_LEAVE) {
        return EXIT_LEAVE;
    }
    if (at_own_abort_vector(f)) {
        return exit_fail(f, "its exception vectors are not in its memory: it would fault for ever", esr);
    }
    inject_abort(f, far, true, esr & DABT_S1PTW);
    return EXIT_RESUME;
}
