// SPDX-License-Identifier: Apache-2.0
//
// The virtual machine control block (AMD APM vol. 2, appendix B).
#pragma once

#include "kernel/lib/types.h"

struct vmcb_seg {
    uint16_t selector, attr;
    uint32_t limit;
    uint64_t base;
};

struct vmcb_control {
    uint32_t intercept_cr; // reads in the low half, writes in the high
    uint32_t intercept_dr;
    uint32_t intercept_exceptions;
    uint32_t intercept3, intercept4, intercept5;
    uint8_t reserved0[0x3C - 0x18];
    uint16_t pause_threshold, pause_count;
    uint64_t iopm_base, msrpm_base, tsc_offset;
    uint32_t asid;
    uint8_t tlb_control, reserved1[3];
    uint64_t v_intr; // V_TPR, V_IRQ, ...: 0x60
    uint64_t shadow; // bit 0: interrupt shadow
    uint64_t exit_code, exit_info1, exit_info2, exit_int_info;
    uint64_t np_enable;
    uint8_t reserved2[0xA8 - 0x98];
    uint64_t event_inject;
    uint64_t nested_cr3;
    uint64_t virt_ext;
    uint32_t clean, reserved3;
    uint64_t next_rip;
    uint8_t fetched, bytes[15];
    uint8_t reserved4[0x400 - 0xE0];
};

struct vmcb_save {
    struct vmcb_seg es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;
    uint8_t reserved0[0xCB - 0xA0];
    uint8_t cpl;
    uint32_t reserved1;
    uint64_t efer;
    uint8_t reserved2[0x148 - 0xD8];
    uint64_t cr4, cr3, cr0, dr7, dr6, rflags, rip;
    uint8_t reserved3[0x1D8 - 0x180];
    uint64_t rsp;
    uint8_t reserved4[0x1F8 - 0x1E0];
    uint64_t rax, star, lstar, cstar, sfmask, kernel_gs_base, sysenter_cs, sysenter_esp, sysenter_eip, cr2;
    uint8_t reserved5[0x268 - 0x248];
    uint64_t g_pat, dbgctl, br_from, br_to, last_excp_from, last_excp_to;
    uint8_t reserved6[0xC00 - 0x298];
};

struct vmcb {
    struct vmcb_control control;
    struct vmcb_save save;
};
_Static_assert(sizeof(struct vmcb) == 4096);
_Static_assert(offsetof(struct vmcb, control.event_inject) == 0xA8);
_Static_assert(offsetof(struct vmcb, save.efer) == 0x400 + 0xD0);
_Static_assert(offsetof(struct vmcb, save.rip) == 0x400 + 0x178);
_Static_assert(offsetof(struct vmcb, save.rax) == 0x400 + 0x1F8);
_Static_assert(offsetof(struct vmcb, save.cr2) == 0x400 + 0x240);

// intercept_cr
#define INTERCEPT_CR_READ(n) (1u << (n))
#define INTERCEPT_CR_WRITE(n) (0x10000u << (n))

// intercept3, intercept4
#define INTERCEPT_INTR BIT64(0)
#define INTERCEPT_NMI BIT64(1)
#define INTERCEPT_INIT BIT64(3)
#define INTERCEPT_VINTR BIT64(4)
#define INTERCEPT_RDPMC BIT64(15)
#define INTERCEPT_CPUID BIT64(18)
#define INTERCEPT_IRET BIT64(20)
#define INTERCEPT_INVD BIT64(22)
#define INTERCEPT_HLT BIT64(24)
#define INTERCEPT_INVLPGA BIT64(26)
#define INTERCEPT_IOIO BIT64(27)
#define INTERCEPT_MSR BIT64(28)
#define INTERCEPT_TASK_SWITCH BIT64(29)
#define INTERCEPT_SHUTDOWN BIT64(31)
#define INTERCEPT4_VMRUN BIT64(0)
#define INTERCEPT4_VMMCALL BIT64(1)
#define INTERCEPT4_VMLOAD BIT64(2)
#define INTERCEPT4_VMSAVE BIT64(3)
#define INTERCEPT4_STGI BIT64(4)
#define INTERCEPT4_CLGI BIT64(5)
#define INTERCEPT4_SKINIT BIT64(6)
#define INTERCEPT4_WBINVD BIT64(9)
#define INTERCEPT4_MONITOR BIT64(10)
#define INTERCEPT4_MWAIT BIT64(11)
#define INTERCEPT4_XSETBV BIT64(13)

#define V_TPR UINT64_C(0xF) // the guest's CR8
#define V_IRQ BIT64(8)
#define V_INTR_PRIO_MAX (UINT64_C(15) << 16)
#define V_IGN_TPR BIT64(20)
#define V_INTR_MASKING BIT64(24)

#define TLB_FLUSH_ALL 1

#define EVENT_VALID BIT64(31)
#define EVENT_ERROR BIT64(11)
#define EVENT_TYPE_SHIFT 8
#define EVENT_TYPE(v) ((v) >> EVENT_TYPE_SHIFT & 7)
#define EVENT_SOFT 4

// intercept_dr
#define INTERCEPT_DR(n) (0x10001u << (n)) // reads and writes

// Exit codes (appendix C)
#define VMEXIT_CR8_READ 0x008
#define VMEXIT_CR8_WRITE 0x018
#define VMEXIT_DR_FIRST 0x020 // reads, then writes
#define VMEXIT_DR_LAST 0x03F
#define VMEXIT_EXCEPTION 0x040
#define VMEXIT_MC 0x052
#define VMEXIT_INTR 0x060
#define VMEXIT_NMI 0x061
#define VMEXIT_INIT 0x063
#define VMEXIT_VINTR 0x064
#define VMEXIT_RDPMC 0x06F
#define VMEXIT_CPUID 0x072
#define VMEXIT_IRET 0x074
#define VMEXIT_INVD 0x076
#define VMEXIT_HLT 0x078
#define VMEXIT_INVLPGA 0x07A
#define VMEXIT_IOIO 0x07B
#define VMEXIT_MSR 0x07C
#define VMEXIT_TASK_SWITCH 0x07D
#define VMEXIT_SHUTDOWN 0x07F
#define VMEXIT_VMRUN 0x080
#define VMEXIT_VMMCALL 0x081
#define VMEXIT_SKINIT 0x086
#define VMEXIT_WBINVD 0x089
#define VMEXIT_MONITOR 0x08A
#define VMEXIT_MWAIT_COND 0x08C
#define VMEXIT_XSETBV 0x08D
#define VMEXIT_NPF 0x400
#define VMEXIT_INVALID UINT32_MAX // the upper half may be 0
