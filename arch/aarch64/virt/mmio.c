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

static inline gpa_t hpfar_gpa(uint64_t far)
{
    return gpa((sysreg_read(hpfar_el2) >> HPFAR_FIPA_SHIFT << PAGE_SHIFT) | (far & PAGE_OFFSET));
}

// The guest physical address of the abort. HPFAR_EL2 holds it only for translation and access-flag faults; for a
// permission fault the guest's own translation is asked again, which another of its CPUs may have changed meanwhile.
static bool fault_gpa(uint64_t esr, uint64_t far, gpa_t *out)
{
    if ((DABT_FSC(esr) & FSC_TYPE_MASK) != FSC_PERMISSION || (esr & DABT_S1PTW)) {
        *out = hpfar_gpa(far);
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

// Sign-extends the `size` bytes of `v`, to 64 bits or to 32 as the destination register has it.
__attribute__((noinline)) static uint64_t extend(uint64_t v, unsigned size, bool to64)
{
    unsigned unused = 64 - 8 * size;
    uint64_t wide = (uint64_t)((int64_t)(v << unused) >> unused);

    return to64 ? wide : (uint32_t)wide;
}

// No device has answered; the core says what that means. The trap is still described in the registers.
__attribute__((noinline)) static enum exit_action mmio_refused(struct guest_frame *f, uint64_t esr,
                                                               const struct io_access *a)
{
    struct vcpu_exit e = {.kind = VCPU_EXIT_MMIO, .mmio = {.refused = true, .access = *a}};
    uint64_t far = sysreg_read(far_el2);

    if (fault_gpa(esr, far, &e.mmio.gpa) && f->vcpu->up->exit(f->vcpu, &e) == VCPU_LEAVE) {
        return EXIT_LEAVE;
    }
    inject_abort(f, far, false, false);
    return EXIT_RESUME;
}

// An access that the syndrome describes.
static inline enum exit_action mmio_by_syndrome(struct guest_frame *f, uint64_t esr, gpa_t where, bool full)
{
    struct io_access a;

    if (frame_lacks(DABT_SRT(esr)) && !full) {
        return EXIT_FULL;
    }
    a.size = (uint8_t)(1u << DABT_SAS(esr));
    a.write = esr >> DABT_WNR_SHIFT & 1;
    if (esr & DABT_WNR) {
        a.value = frame_read(f, DABT_SRT(esr)) & UINT64_MAX >> (-(8 * a.size) & 63);
    }
    if (__builtin_expect(f->vcpu->up->mmio(f->vcpu, &a, where) != 0, 0)) {
        return mmio_refused(f, esr, &a);
    }
    asm(""
        : "+r"(
            esr)); // what is needed of it is cut out again: cheaper than keeping the pieces across the call
    if (!(esr & DABT_WNR)) {
        f->x[DABT_SRT(esr)] =
            __builtin_expect(esr & DABT_SSE, 0) ? extend(a.value, a.size, esr & DABT_SF) : a.value;
    }
    frame_skip(f);
    return EXIT_RESUME;
}

// External aborts and memory errors: HPFAR_EL2 says nothing about them.
static bool is_external(uint64_t esr)
{
    return (DABT_FSC(esr) & FSC_CLASS_MASK) == FSC_SEA;
}

// All but a translation fault with a valid syndrome.
__attribute__((noinline)) static enum exit_action mmio_uncommon(struct guest_frame *f, uint64_t esr,
                                                                bool full)
{
    uint64_t far = sysreg_read(far_el2);
    gpa_t where;

    if ((esr & DABT_S1PTW) ||
        is_external(esr)) { // the guest's page tables lie where no memory is, or memory itself failed
        inject_abort(f, far, false, esr & DABT_S1PTW);
        count_done(f);
        return EXIT_RESUME;
    }
    if (esr & DABT_CM) { // cache maintenance of what is no memory: nothing to do
        frame_skip(f);
        count_done(f);
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

// The hottest of all handlers, counted in instructions: no stack protector, its stack holds no array.
__attribute__((no_stack_protector)) enum exit_action exit_mmio(struct guest_frame *f, uint64_t esr, bool full)
{
    if (!(esr & DABT_ISV) || (esr & (DABT_S1PTW | DABT_EA | DABT_CM | FSC_TYPE_MASK)) != FSC_TRANSLATION) {
        return mmio_uncommon(f, esr, full);
    }
    return mmio_by_syndrome(f, esr, hpfar_gpa(sysreg_read(far_el2)), full);
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
