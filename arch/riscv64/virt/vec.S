// SPDX-License-Identifier: Apache-2.0
//
// The guest's vector registers (RISC-V "V" Extension 1.0): the only code in the image that names them, as virt/fp.S does for
// FP. sstatus.VS is on. Moves of whole registers need no valid vtype, but begin at vstart.
#include <asm-offsets.h>

#define VSTART 0x008
#define VCSR 0x00F
#define VL 0xC20
#define VTYPE 0xC21
#define VLENB 0xC22

    .option arch, +v
    .text

// void vec_save(struct guest_vec *vec): the registers alone; vstart is 0
    .global vec_save
    .type vec_save, %function
vec_save:
    csrr    t0, VLENB
    addi    a0, a0, VEC_REGS
    slli    t0, t0, 3           // bytes of eight registers
    vs8r.v  v0, (a0)
    add     a0, a0, t0
    vs8r.v  v8, (a0)
    add     a0, a0, t0
    vs8r.v  v16, (a0)
    add     a0, a0, t0
    vs8r.v  v24, (a0)
    ret
    .size vec_save, . - vec_save

// void vec_load(const struct guest_vec *vec): registers and CSRs
    .global vec_load
    .type vec_load, %function
vec_load:
    ld      a1, VEC_VSTART(a0)
    ld      a2, VEC_VTYPE(a0)
    ld      a3, VEC_VL(a0)
    ld      a4, VEC_VCSR(a0)
    csrr    t0, VLENB
    csrw    VSTART, zero
    slli    t0, t0, 3
    addi    a0, a0, VEC_REGS
    vl8re8.v v0, (a0)
    add     a0, a0, t0
    vl8re8.v v8, (a0)
    add     a0, a0, t0
    vl8re8.v v16, (a0)
    add     a0, a0, t0
    vl8re8.v v24, (a0)
    vsetvl  zero, a3, a2        // vl is at most VLMAX of this vtype, so it becomes just that
    csrw    VCSR, a4
    csrw    VSTART, a1
    ret
    .size vec_load, . - vec_load
