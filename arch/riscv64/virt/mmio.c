// SPDX-License-Identifier: Apache-2.0
//
// Guest-page faults: accesses to emulated registers and to nothing at all (RISC-V Privileged Architecture, 18.6.3
// "Transformed Instruction or Pseudoinstruction for mtinst or htinst").
#include <string.h>

#include "arch/riscv64/virt/exit.h"
#include "arch/riscv64/virt/rv_decode.h"

#define NAN_BOX MASK64(32, 32)

void fp_save(struct guest_fp *fp);
void fp_load(const struct guest_fp *fp);

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
}

static enum exit_action perform(struct guest_frame *f, const struct rv_access *a, gpa_t where, uint64_t cause)
{
    uint64_t address = csr_read(stval);
    struct vcpu_exit e;

    if ((where.v & (PAGE_SIZE - 1)) + a->size > PAGE_SIZE) { // the next page may lie elsewhere
        inject(f, access_fault(cause), address);
        return EXIT_RESUME;
    }
    e.kind = VCPU_EXIT_MMIO;
    e.mmio.gpa = where;
    e.mmio.size = a->size;
    e.mmio.write = a->kind == RV_STORE;
    e.mmio.exec = false;
    e.mmio.value = e.mmio.write ? source_value(f, a) : 0;
    switch (f->vcpu->up->exit(f->vcpu, &e)) {
    case VCPU_ABORT:
        inject(f, access_fault(cause), address);
        return EXIT_RESUME;
    case VCPU_LEAVE:
        return EXIT_LEAVE;
    case VCPU_RESUME:
        break;
    }
    if (!e.mmio.write) {
        target_write(f, a, e.mmio.value);
    }
    f->pc += a->length;
    return EXIT_RESUME;
}

enum exit_action exit_mmio(struct guest_frame *f, uint64_t cause, bool full)
{
    uint64_t htinst = csr_read(htinst);
    gpa_t where = fault_gpa();
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
    // The instruction may have been replaced since it trapped: it must at least fit the trap's direction.
    if (a.kind == (cause == CAUSE_LOAD_GUEST_PAGE ? RV_LOAD : RV_STORE)) {
        return !full && !a.fp && frame_lacks(a.reg) ? EXIT_FULL : perform(f, &a, where, cause);
    }
    if (a.kind == RV_CACHE) {
        f->pc += a.length;
        return EXIT_RESUME;
    }
    inject(f, a.kind == RV_ATOMIC ? CAUSE_STORE_ACCESS : access_fault(cause), csr_read(stval));
    return EXIT_RESUME;
}

// A guest whose trap vector is no memory would fault for ever.
static enum exit_action vector_missing(struct guest_frame *f, uint64_t cause, gpa_t where)
{
    struct vcpu_exit e = {
        .kind = VCPU_EXIT_FAULT,
        .fault = {.reason = "the guest's trap vector (stvec) is not in memory",
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
    if ((f->sstatus & SSTATUS_SPP) && f->pc == (csr_read(vstvec) & ~UINT64_C(3))) {
        return vector_missing(f, cause, e.mmio.gpa);
    }
    if (!rv_htinst_is_walk(csr_read(htinst)) && f->vcpu->up->exit(f->vcpu, &e) == VCPU_LEAVE) {
        return EXIT_LEAVE;
    }
    inject(f, access_fault(cause), address);
    return EXIT_RESUME;
}
