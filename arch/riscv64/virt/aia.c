// SPDX-License-Identifier: Apache-2.0
//
// A guest's IMSIC without a guest interrupt file of the machine: while hstatus.VGEIN is 0, what siselect
// selects of it and stopei raise virtual-instruction exceptions (RISC-V Advanced Interrupt Architecture 1.0,
// 2.3 and 3.10). They are decoded here and answered by the virtual controller. siselect itself the guest uses
// untrapped, as vsiselect.
#include <asm/isa.h>
#include <asm/virt.h>

#include "arch/riscv64/virt/exit.h"

#define OPCODE_SYSTEM 0x73u
#define CSR_SIREG 0x151u
#define CSR_STOPEI 0x15cu
#define vsiselect_read() csr_read(0x250)
#define vsiselect_write(v) csr_write(0x250, v)

#define hvictl_write(v) csr_write(0x609, v)
#define hstateen0_write(v) csr_write(0x60C, v)
#define HVICTL_IID_SHIFT 16
#define HVICTL_LOWEST 255u // priority

#define INSN_OPCODE(i) ((i)&0x7f)
#define INSN_RD(i) ((i) >> 7 & 31)
#define INSN_FUNCT3(i) ((i) >> 12 & 7)
#define INSN_RS1(i) ((i) >> 15 & 31)
#define INSN_CSR(i) ((i) >> 20)
#define FUNCT3_IMMEDIATE 4u
enum csr_op {
    CSR_RW = 1,
    CSR_RS = 2,
    CSR_RC = 3
};

bool aia_is_access(uint32_t insn)
{
    return INSN_OPCODE(insn) == OPCODE_SYSTEM && (INSN_FUNCT3(insn) & 3) != 0 &&
           (INSN_CSR(insn) == CSR_SIREG || INSN_CSR(insn) == CSR_STOPEI);
}

enum exit_action exit_aia(struct guest_frame *f, uint32_t insn, bool full)
{
    const unsigned rd = INSN_RD(insn), rs1 = INSN_RS1(insn), op = INSN_FUNCT3(insn) & 3;
    const bool immediate = (INSN_FUNCT3(insn) & FUNCT3_IMMEDIATE) != 0;
    struct vcpu_exit e = {.kind = VCPU_EXIT_SYSREG};
    enum exit_action action;
    uint64_t value;

    if (!full && (frame_lacks(rd) || (!immediate && frame_lacks(rs1)))) {
        return EXIT_FULL;
    }
    value = immediate ? rs1 : frame_read(f, rs1);
    e.sysreg.number = INSN_CSR(insn);
    if (INSN_CSR(insn) == CSR_SIREG) {
        e.sysreg.number |= (unsigned)(vsiselect_read() & 0xffff) << 16;
    }
    e.sysreg.write = op == CSR_RW || rs1 != 0;
    e.sysreg.set = op == CSR_RC ? 0 : value;
    e.sysreg.clear = op == CSR_RW ? UINT64_MAX : op == CSR_RC ? value : 0;
    action = exit_upcall(f, &e);
    if (!e.sysreg.handled) {
        inject(f, CAUSE_ILLEGAL, insn);
        return action;
    }
    frame_write(f, rd, e.sysreg.old);
    f->pc += 4;
    return action;
}

// Without a guest file an external interrupt shows in the guest's stopi only with hvictl's help (6.3.3).
void aia_line(bool level)
{
    if (isa_has(ISA_SSAIA)) {
        hvictl_write(level ? (uint64_t)IRQ_SEI << HVICTL_IID_SHIFT | HVICTL_LOWEST : 0);
    }
}

void aia_save(struct guest_csrs *s)
{
    s->vsiselect = vsiselect_read();
}

void aia_load(const struct arch_vcpu *av)
{
    aia_allow(av->vm);
    vsiselect_write(av->csr.vsiselect);
    aia_line(av->csr.hvip & BIT64(IRQ_VSEI));
}

// Whether a guest has the registers at all can be said only where hstateen0 exists (Smstateen, Ssstateen). senvcfg is a
// guest's in any case.
void aia_allow(const struct arch_vm *vm)
{
    if (isa_has(ISA_SMSTATEEN) || isa_has(ISA_SSSTATEEN)) {
        hstateen0_write(HSTATEEN_ENVCFG | (vm && vm->has_aia ? HSTATEEN_AIA : 0));
    }
}
