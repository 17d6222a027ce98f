// SPDX-License-Identifier: Apache-2.0
//
// Guest-page faults: accesses to emulated registers and to nothing at all (RISC-V Privileged Architecture, 18.6.3
// "Transformed Instruction or Pseudoinstruction for mtinst or htinst").
#include <string.h>

#include "arch/riscv64/virt/exit.h"
#include "arch/riscv64/virt/rv_decode.h"
#include "arch/riscv64/virt/virt_local.h"

#define NAN_BOX MASK64(32, 32)

// htval holds the address divided by four; the lost bits are those of the virtual address.
static gpa_t fault_gpa(void)
{
    return gpa(csr_read(htval) << 2 | (csr_read(stval) & 3));
}

static uint64_t access_fault(uint64_t cause)
{
    switch (cause) {
    case CAUSE_FETCH_GUEST_PAGE:
        return CAUSE_FETCH_ACCESS;
    case CAUSE_LOAD_GUEST_PAGE:
        return CAUSE_LOAD_ACCESS;
    default:
        return CAUSE_STORE_ACCESS;
    }
}

// Registers are live in the hart: they take the way through memory.
static uint64_t source_value(struct guest_frame *f, const struct rv_access *a)
{
    uint64_t v;

    if (!a->fp) {
        v = frame_read(f, a->reg);
    } else {
        fp_save(&f->vcpu->fp);
        v = f->vcpu->fp.f[a->reg];
    }
    return v & MASK64(0, 8 * a->size);
}

static void target_write(struct guest_frame *f, const struct rv_access *a, uint64_t v)
{
    unsigned unused = 64 - 8u * a->size;

    if (a->sign_extend) {
        v = (uint64_t)((int64_t)(v << unused) >> unused);
    }
    if (!a->fp) {
        frame_write(f, a->reg, v);
        return;
    }
    fp_save(&f->vcpu->fp);
    f->vcpu->fp.f[a->reg] = a->size == 4 ? v | NAN_BOX : v;
    fp_load(&f->vcpu->fp);
    csr_set(vsstatus, SSTATUS_FS_DIRTY); // as the guest's own instruction does
}

// No device has answered; the core says what that means. The trap is still described in the registers.
__attribute__((noinline)) static enum exit_action refused(struct guest_frame *f, uint64_t cause,
                                                          const struct io_access *a)
{
    struct vcpu_exit e = {.kind = VCPU_EXIT_MMIO, .mmio = {.refused = true, .access = *a}};
    uint64_t address = csr_read(stval);

    e.mmio.gpa = fault_gpa();
    if (f->vcpu->up->exit(f->vcpu, &e) == VCPU_LEAVE) {
        return EXIT_LEAVE;
    }
    inject(f, access_fault(cause), address);
    return EXIT_RESUME;
}

static enum exit_action perform(struct guest_frame *f, const struct rv_access *a, uint64_t cause)
{
    gpa_t where = fault_gpa();
    struct io_access io = {.size = a->size, .write = a->kind == RV_STORE};

    if ((where.v & (PAGE_SIZE - 1)) + a->size > PAGE_SIZE) { // the next page may lie elsewhere
        inject(f, access_fault(cause), csr_read(stval));
        return EXIT_RESUME;
    }
    io.value = io.write ? source_value(f, a) : 0;
    if (f->vcpu->up->mmio(f->vcpu, &io, where) != 0) {
        return refused(f, cause, &io);
    }
    if (!io.write) {
        target_write(f, a, io.value);
    }
    f->pc += a->length;
    return EXIT_RESUME;
}

// All but a plain, aligned load or store of a register that the frame has.
__attribute__((noinline)) static enum exit_action mmio_uncommon(struct guest_frame *f, uint64_t cause,
                                                                bool full)
{
    uint64_t htinst = csr_read(htinst);
    struct rv_access a;
    uint32_t insn;

    if (rv_htinst_is_walk(htinst)) { // the guest's page tables lie where no memory is
        inject(f, access_fault(cause), csr_read(stval));
        return EXIT_RESUME;
    }
    if (htinst) {
        a = rv_decode_htinst(htinst);
    } else if (exit_fetch_insn(f, &insn)) {
        a = rv_decode(insn);
    } else {
        return EXIT_RESUME; // its own fetch will fault, or go well
    }
    if (a.fp && !(csr_read(sstatus) & SSTATUS_FS)) {
        return EXIT_RESUME; // another instruction than the one that trapped: the registers are not even here
    }
    // The instruction may have been replaced since it trapped: it must at least fit the trap's direction.
    if (a.kind == (cause == CAUSE_LOAD_GUEST_PAGE ? RV_LOAD : RV_STORE)) {
        return !full && !a.fp && frame_lacks(a.reg) ? EXIT_FULL : perform(f, &a, cause);
    }
    if (a.kind == RV_CACHE) {
        f->pc += a.length;
        return EXIT_RESUME;
    }
    inject(f, a.kind == RV_ATOMIC ? CAUSE_STORE_ACCESS : access_fault(cause), csr_read(stval));
    return EXIT_RESUME;
}

// The instruction as htinst shows it, or as it would; without meaning when it cannot be had.
static inline uint64_t trapped_insn(const struct guest_frame *f)
{
    uint64_t insn = csr_read(htinst);
    uint64_t high;

    if (insn) {
        return insn;
    }
    if (!(f->pc & 2)) { // four bytes that cannot cross a page
        GUEST_LOAD(hlvx.wu, insn, f->pc, failed);
        return (insn & 3) == 3 ? insn : rv_expand((uint16_t)insn);
    }
    GUEST_LOAD(hlvx.hu, insn, f->pc, failed);
    if ((insn & 3) != 3) {
        return rv_expand((uint16_t)insn);
    }
    GUEST_LOAD(hlvx.hu, high, f->pc + 2, failed);
    return insn | high << 16;
failed:
    return 0;
}

#define OPCODE(i) ((i)&0x7D) // with bit 1 ignored
#define OPCODE_LOAD 0x01u
#define OPCODE_STORE 0x21u
#define FUNCT3(i) ((i) >> 12 & 7)
#define FUNCT3_UNSIGNED 0x4000u // in place
#define RD(i) ((i) >> 7 & 31)
#define RS2(i) ((i) >> 20 & 31)
#define LENGTH(i) (2 + ((i)&2))
#define UNUSED_BITS(size) (-(8 * (uint64_t)(size)) & 63) // of 64

// These two are the hottest of all handlers.
__attribute__((no_stack_protector)) enum exit_action exit_load(struct guest_frame *f, uint64_t cause,
                                                               bool full)
{
    uint64_t insn = trapped_insn(f);
    uint64_t size = UINT64_C(1) << (FUNCT3(insn) & 3);
    gpa_t where = fault_gpa();
    struct io_access a;

    if (OPCODE(insn) != OPCODE_LOAD || FUNCT3(insn) == 7 || (where.v & (size - 1))) {
        return mmio_uncommon(f, cause, full);
    }
    if (frame_lacks(RD(insn)) && !full) {
        return EXIT_FULL;
    }
    a.size = (uint8_t)size;
    a.write = false;
    if (__builtin_expect(f->vcpu->up->mmio(f->vcpu, &a, where) != 0, 0)) {
        return refused(f, CAUSE_LOAD_GUEST_PAGE, &a);
    }
    asm(""
        : "+r"(
            insn)); // what is needed of it is cut out again: cheaper than keeping the pieces across the call
    if (!(insn & FUNCT3_UNSIGNED)) {
        a.value = (uint64_t)((int64_t)(a.value << UNUSED_BITS(a.size)) >> UNUSED_BITS(a.size));
    }
    frame_write(f, RD(insn), a.value);
    f->pc += LENGTH(insn);
    return EXIT_RESUME;
}

__attribute__((no_stack_protector)) enum exit_action exit_store(struct guest_frame *f, uint64_t cause,
                                                                bool full)
{
    uint64_t insn = trapped_insn(f);
    uint64_t size = UINT64_C(1) << (FUNCT3(insn) & 3);
    gpa_t where = fault_gpa();
    struct io_access a;

    if (OPCODE(insn) != OPCODE_STORE || FUNCT3(insn) > 3 || (where.v & (size - 1))) {
        return mmio_uncommon(f, cause, full);
    }
    if (frame_lacks(RS2(insn)) && !full) {
        return EXIT_FULL;
    }
    a.size = (uint8_t)size;
    a.write = true;
    a.value = frame_read(f, RS2(insn)) << UNUSED_BITS(size) >> UNUSED_BITS(size);
    if (__builtin_expect(f->vcpu->up->mmio(f->vcpu, &a, where) != 0, 0)) {
        return refused(f, CAUSE_STORE_GUEST_PAGE, &a);
    }
    f->pc += LENGTH(insn);
    return EXIT_RESUME;
}

// A guest whose trap vector is no memory would fault for ever.
static enum exit_action vector_missing(struct guest_frame *f, uint64_t cause, gpa_t where)
{
    struct vcpu_exit e = {
        .kind = VCPU_EXIT_FAULT,
        .fault = {.reason = "its exception vectors (stvec) are not in its memory: it would fault for ever",
                  .syndrome = cause,
                  .gva = gva(f->pc),
                  .gpa = where,
                  .gpa_valid = true},
    };

    return exit_upcall(f, &e);
}

enum exit_action exit_fetch(struct guest_frame *f, uint64_t cause, bool full)
{
    uint64_t address = csr_read(stval);
    struct vcpu_exit e = {
        .kind = VCPU_EXIT_MMIO,
        .mmio = {.gpa = fault_gpa(), .size = 4, .exec = true},
    };

    if (!full) {
        return EXIT_FULL;
    }
    if (frame_in_kernel(f) && f->pc == (csr_read(vstvec) & ~UINT64_C(3))) {
        return vector_missing(f, cause, e.mmio.gpa);
    }
    if (!rv_htinst_is_walk(csr_read(htinst)) && f->vcpu->up->exit(f->vcpu, &e) == VCPU_LEAVE) {
        return EXIT_LEAVE;
    }
    inject(f, access_fault(cause), address);
    return EXIT_RESUME;
}
