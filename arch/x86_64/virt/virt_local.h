// SPDX-License-Identifier: Apache-2.0
//
// Between the files of arch/x86_64/virt.
#pragma once

#include "arch/vcpu.h"
#include "arch/x86_64/virt/ops.h"
#include "arch/x86_64/virt/x86_forms.h"
#include "arch/x86_64/virt/x86_walk.h"

// The vendor's part; chosen once by arch_virt_probe().
extern const struct x86_virt_ops *x86_ops;

// The interrupt controller's name for CR8 (vmm/irqchip/vapic.h).
#define X86_SYSREG_CR8 0x1000u
// Likewise for what the hardware's local APIC reports: + enum x86_apic_event.
#define X86_SYSREG_APIC 0x1001u

// An exception at the instruction that made the exit.
void x86_fault(struct arch_vcpu *av, uint8_t vector, int64_t error);

// Does the guest run one of its own programs (CPL 3)?
static inline bool x86_is_user(const struct arch_vcpu *av)
{
    struct x86_seg ss;

    x86_ops->get_segment(av, X86_SS, &ss);
    return (ss.attr >> 5 & 3) == 3;
}

// The instruction is done.
static inline void x86_advance(struct arch_vcpu *av, uint32_t length)
{
    x86_ops->advance(av, length);
}

// It ended here, without the core.
static inline enum vcpu_verdict x86_done(struct arch_vcpu *av, uint32_t length)
{
    av->done++;
    x86_advance(av, length);
    return VCPU_RESUME;
}

// fp.c: the guest's floating-point and vector state. The hypervisor has none.
uint64_t fp_features(void); // XCR0 bits that guests may set; 0 without XSAVE
void fp_init_cpu(void);
enum status fp_create(struct arch_vcpu *av);
void fp_destroy(struct arch_vcpu *av);
void fp_reset(struct arch_vcpu *av);
void fp_load(struct arch_vcpu *av);
void fp_put(struct arch_vcpu *av);
bool fp_set_xcr0(struct arch_vcpu *av, uint64_t v); // of a loaded vCPU; false: #GP
// XMM0 to XMM15 of a loaded vCPU, low half first.
void fp_vector(struct arch_vcpu *av, unsigned reg, bool write, uint64_t v[2]);

// cpuid.c: what the guest reads, from its registers to its registers. The first is called once, on the boot CPU.
void x86_cpuid_init(void);
void x86_guest_cpuid(struct arch_vcpu *av);

// msr.c
enum vcpu_verdict x86_exit_msr(struct arch_vcpu *av, struct x86_exit *x);
void x86_msrs_reset(struct arch_vcpu *av);

// kvm_msr.c: rows of msr.c's table.
bool x86_kvm_wall(struct arch_vcpu *av, uint32_t msr, uint64_t v);
bool x86_kvm_time(struct arch_vcpu *av, uint32_t msr, uint64_t v);
bool x86_kvm_steal(struct arch_vcpu *av, uint32_t msr, uint64_t v);
bool x86_kvm_read_time(struct arch_vcpu *av, uint32_t msr, uint64_t *out);
bool x86_kvm_read_steal(struct arch_vcpu *av, uint32_t msr, uint64_t *out);

// walk.c: the guest's own page tables (Intel SDM vol. 3A, 4.3 to 4.5). False: not mapped.
bool x86_guest_walk(struct arch_vcpu *av, uint64_t va, uint64_t *gpa);

// Likewise for a data access, as x86_walk() does it.
enum x86_walk_result x86_guest_access(struct arch_vcpu *av, uint64_t va, struct x86_walk_for why,
                                      uint64_t *gpa, uint32_t *error);

// mmio.c: the instruction at RIP, which has made the exit `x`: a nested fault, or INS or OUTS. False: it is not one that is
// emulated, and nothing has changed. Otherwise the guest goes on after it, in its midst, or at a page fault; or at the
// instruction again, where that is no longer the one that made the exit: another vCPU may have written a new one, with which
// the guest's own programs must not get at ports, or write, where the processor has checked something else.
bool x86_emulate_fault(struct arch_vcpu *av, const struct x86_exit *x, enum vcpu_verdict *verdict);
// mmio_move.c: likewise, for a MOV that is the last instruction once more. False: try x86_emulate_fault(), nothing has changed.
bool x86_emulate_move(struct arch_vcpu *av, const struct x86_exit *x);
bool x86_emulate_string_io(struct arch_vcpu *av, const struct x86_exit *x, enum vcpu_verdict *verdict);

// The last instruction that was decoded: most often it is the next one again. Decoding depends on bytes and mode alone.
struct x86_decoded {
    uint8_t bytes[X86_INSN_MAX];
    uint8_t mode; // 0: none yet
    struct x86_insn insn;
    struct x86_form form; // of it
    uint64_t unknown_at;  // where the last one was that is not emulated; exit.c's
};

// The linear address of the instruction at RIP.
uint64_t x86_code_address(const struct arch_vcpu *av);
