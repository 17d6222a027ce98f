// SPDX-License-Identifier: Apache-2.0
//
// See a64_mmio.h. The instruction is fetched once, by the hardware's own two-stage translation, then only the copy is
// used: another vCPU may rewrite it, which changes what its own guest's access does and nothing else.
#include "arch/aarch64/virt/a64_mmio.h"

#include <string.h>

#include "arch/aarch64/virt/a64_decode.h"
#include "arch/aarch64/virt/fp.h"
#include "arch/mmu.h"

#define PAR_FAULT BIT64(0)
#define PAR_PA MASK64(12, 40)
#define PIECE 8u // the largest single access of the buses
#define BYTES_MAX 32u

static bool fetch(const struct guest_frame *f, uint32_t *insn)
{
    uint64_t saved = sysreg_read(par_el1);
    uint64_t par;

    if ((f->pstate & SPSR_EL_MASK) == SPSR_EL0T) {
        asm volatile("at s12e0r, %0\n\tisb" ::"r"(f->pc) : "memory");
    } else {
        asm volatile("at s12e1r, %0\n\tisb" ::"r"(f->pc) : "memory");
    }
    par = sysreg_read(par_el1);
    sysreg_write(par_el1, saved);
    if (par & PAR_FAULT || f->pc % 4) {
        return false;
    }
    // Usually this is the guest's own RAM, which the direct map has too. But the guest may have changed its page tables
    // since: what stage 2 lets it read may be a device now, which is not mapped there.
    return arch_probe_read(arch_phys_to_virt(hpa((par & PAR_PA) | (f->pc & (PAGE_SIZE - 1)))), insn);
}

static uint64_t sp_read(const struct guest_frame *f)
{
    return (f->pstate & SPSR_EL_MASK) == SPSR_EL1H ? sysreg_read(sp_el1) : sysreg_read(sp_el0);
}

static void sp_write(const struct guest_frame *f, uint64_t v)
{
    if ((f->pstate & SPSR_EL_MASK) == SPSR_EL1H) {
        sysreg_write(sp_el1, v);
    } else {
        sysreg_write(sp_el0, v);
    }
}

static void write_back(struct guest_frame *f, const struct a64_access *a)
{
    if (!a->write_back) {
        return;
    }
    if (a->base == A64_REG_ZR) {
        sp_write(f, sp_read(f) + (uint64_t)(int64_t)a->amount);
    } else {
        f->x[a->base] += (uint64_t)(int64_t)a->amount;
    }
}

// The registers that a store sends out, as bytes.
static void gather(struct guest_frame *f, const struct a64_access *a, uint8_t *bytes)
{
    for (unsigned i = 0; i < a->count; i++) {
        if (a->simd) {
            fp_use(f->vcpu); // the instruction in memory need not be the one that trapped
            fp_save(&f->vcpu->fp);
            memcpy(bytes + (size_t)i * a->size, f->vcpu->fp.v[a->reg[i]], a->size);
        } else {
            uint64_t v = frame_read(f, a->reg[i]);
            memcpy(bytes + (size_t)i * a->size, &v, a->size);
        }
    }
}

static uint64_t load_extend(const struct a64_access *a, uint64_t v)
{
    unsigned unused = 64 - 8u * a->size;

    if (a->sign_extend) {
        v = (uint64_t)((int64_t)(v << unused) >> unused);
        v = a->dest64 ? v : (uint32_t)v;
    }
    return v;
}

static void scatter(struct guest_frame *f, const struct a64_access *a, const uint8_t *bytes)
{
    struct guest_fp *fp = &f->vcpu->fp;

    for (unsigned i = 0; i < a->count; i++) {
        if (a->simd) { // a load clears the rest of the register
            fp_use(f->vcpu);
            fp_save(fp);
            memset(fp->v[a->reg[i]], 0, sizeof(fp->v[0]));
            memcpy(fp->v[a->reg[i]], bytes + (size_t)i * a->size, a->size);
            fp_load(fp);
        } else {
            uint64_t v = 0;
            memcpy(&v, bytes + (size_t)i * a->size, a->size);
            frame_write(f, a->reg[i], load_extend(a, v));
        }
    }
}

// One element, in pieces that the buses take.
static enum vcpu_verdict transfer(struct guest_frame *f, const struct a64_access *a, uint64_t where,
                                  uint8_t *bytes)
{
    unsigned step = a->size < PIECE ? a->size : PIECE;

    for (unsigned off = 0; off < (unsigned)a->size * a->count; off += step) {
        struct vcpu_exit e = {
            .kind = VCPU_EXIT_MMIO,
            .mmio = {.gpa = gpa(where + off), .size = (uint8_t)step, .write = a->kind == A64_STORE},
        };
        enum vcpu_verdict verdict;

        if (e.mmio.write) {
            memcpy(&e.mmio.value, bytes + off, step);
        }
        verdict = f->vcpu->up->exit(f->vcpu, &e);
        if (verdict != VCPU_RESUME) {
            return verdict;
        }
        memcpy(bytes + off, &e.mmio.value, step);
    }
    return VCPU_RESUME;
}

static enum exit_action perform(struct guest_frame *f, const struct a64_access *a, gpa_t where, uint64_t far)
{
    uint8_t bytes[BYTES_MAX] = {0};

    if ((where.v & (PAGE_SIZE - 1)) + (uint64_t)a->size * a->count >
        PAGE_SIZE) { // the next page may lie elsewhere
        inject_abort(f, far, false, false);
        return EXIT_RESUME;
    }
    if (a->kind == A64_STORE) {
        gather(f, a, bytes);
    }
    switch (transfer(f, a, where.v, bytes)) {
    case VCPU_ABORT:
        inject_abort(f, far, false, false);
        return EXIT_RESUME;
    case VCPU_LEAVE:
        return EXIT_LEAVE;
    case VCPU_RESUME:
        break;
    }
    if (a->kind == A64_LOAD) {
        scatter(f, a, bytes);
    }
    write_back(f, a);
    frame_skip(f);
    return EXIT_RESUME;
}

enum exit_action mmio_by_decoding(struct guest_frame *f, uint64_t esr, gpa_t where, uint64_t far)
{
    struct a64_access a = {.kind = A64_UNKNOWN};
    uint32_t insn;

    if (!(f->pstate & SPSR_AARCH32) && fetch(f, &insn)) {
        a = a64_decode(insn);
    }
    // The instruction may have been replaced since it trapped: it must at least fit the trap's direction.
    if ((a.kind == A64_LOAD && !(esr & DABT_WNR)) || (a.kind == A64_STORE && (esr & DABT_WNR))) {
        return perform(f, &a, where, far);
    }
    if (a.kind == A64_PREFETCH || a.kind == A64_CACHE) {
        frame_skip(f);
        return EXIT_RESUME;
    }
    inject_abort(f, far, false, false);
    return EXIT_RESUME;
}
