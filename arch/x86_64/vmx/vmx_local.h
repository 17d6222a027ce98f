// SPDX-License-Identifier: Apache-2.0
//
// Between the files of arch/x86_64/vmx.
#pragma once

#include "arch/x86_64/virt/ops.h"
#include "arch/x86_64/vmx/vmcs.h"
#include "arch/x86_64/vmx/vmx_apic_page.h"
#include "arch/x86_64/vmx/vmx_controls.h"
#include "arch/x86_64/vmx/vmx_exit.h"

// Registers that entries and exits leave alone and the hypervisor does not use: the guest's stay in the CPU while it is loaded.
enum vmx_kept_msr {
    KEPT_STAR,
    KEPT_LSTAR,
    KEPT_CSTAR,
    KEPT_SFMASK,
    KEPT_KERNEL_GS,
    KEPT_MSR_COUNT
};

struct vmx_apic {
    uint32_t *page; // its registers; NULL: the CPU has nothing for them
    enum apic_mode mode;
    uint32_t threshold; // as in the VMCS, here and below
    uint64_t eoi_exits[4];
    struct vmx_posts *posts; // NULL: nobody posts
    // in its guest, or about to enter it with interrupts masked: a notification is of use there
    _Atomic bool inside;
};

struct vmx_vcpu {
    void *vmcs;
    hpa_t vmcs_pa;
    bool launched;     // VMRESUME instead of VMLAUNCH
    bool active;       // it is the current VMCS of CPU `cpu`
    unsigned borrowed; // vmcs_acquire()s of one that is not active
    bool window;       // the interrupt-window exit is asked for
    bool limited;      // the preemption timer is on
    uint32_t primary;  // controls as in the VMCS
    uint32_t event;    // for the next entry; 0: none
    uint32_t event_error;
    uint32_t generation; // of its VPID; 0: none
    unsigned cpu;        // where it was loaded last
    uint64_t msr[KEPT_MSR_COUNT];
    uint64_t cr2, dr[4], dr6;
    struct vmx_apic apic;
};

// vmx.c: what the capability MSRs leave of the wishes.
extern uint32_t vmx_controls[VMX_CONTROL_COUNT];
extern unsigned vmx_physical_bits;
// Lets a guest reach a register without an exit.
void vmx_open_msr(uint8_t *bitmap, uint32_t msr, bool write);

// vmx_vmcs.c: the current VMCS of this CPU. A field that does not exist is a bug of ours: panic.
uint64_t vmcs_read(enum vmcs_field f);
void vmcs_write(enum vmcs_field f, uint64_t v);

// A vCPU's VMCS, whether it is loaded here or nowhere, for a few accesses; the result goes to vmcs_release(). Pairs nest.
unsigned long vmcs_acquire(const struct arch_vcpu *av);
void vmcs_release(const struct arch_vcpu *av, unsigned long state);
void vmcs_load(struct vmx_vcpu *vv);  // interrupts masked; nobody else's is loaded
void vmcs_clear(struct vmx_vcpu *vv); // afterwards it is in memory and current nowhere

// vmx_setup.c: the whole VMCS of a vCPU in its reset state; the parts that depend on the CPU it is loaded on.
void vmx_setup(struct arch_vcpu *av);
void vmx_setup_host(void);

// vmx_apic.c. setup: its part of the VMCS and the secondary controls; it outlives the vCPU's reset.
enum status vmx_apic_init(enum vmx_apic_level found, void *msr_bitmap, bool ignores_mask, bool posts);
enum status vmx_apic_create(struct vmx_vcpu *vv);
void vmx_apic_destroy(struct vmx_vcpu *vv);
void vmx_apic_setup(const struct arch_vcpu *av);
const struct apic_page_ops *vmx_apic_pages(void);
// Right before an entry, interrupts masked, and right after the exit.
void vmx_apic_enter(struct vmx_vcpu *vv);
void vmx_apic_leave(struct vmx_vcpu *vv);
// The pin-based controls of its mode, less the preemption timer.
uint32_t vmx_apic_pin(const struct vmx_vcpu *vv);
bool vmx_apic_describe(const struct arch_vcpu *av, char *text, size_t size);
// The hardware would refuse such an entry (26.2.1.1).
bool vmx_apic_priority_fell(const struct vmx_vcpu *vv);

// vmx_intercept.c: exits that are settled here, by `reason`: exceptions, control registers. False: not one of them.
bool vmx_intercept(struct arch_vcpu *av, const struct vmx_exit *in, struct x86_exit *out);

void vmx_inject(struct arch_vcpu *av, enum x86_event type, uint8_t vector, int64_t error);
void vmx_clear_shadow(struct arch_vcpu *av);
void vmx_advance(struct arch_vcpu *av, uint32_t length);

// vmx_regs.c
uint64_t vmx_get(const struct arch_vcpu *av, enum x86_field f);
void vmx_set(struct arch_vcpu *av, enum x86_field f, uint64_t v);
void vmx_get_segment(const struct arch_vcpu *av, enum x86_segment s, struct x86_seg *out);
void vmx_get_code(const struct arch_vcpu *av, struct x86_code *out);
void vmx_set_segment(struct arch_vcpu *av, enum x86_segment s, const struct x86_seg *in);
bool vmx_get_msr(const struct arch_vcpu *av, uint32_t msr, uint64_t *out);
bool vmx_set_msr(struct arch_vcpu *av, uint32_t msr, uint64_t v);
void vmx_load_kept(struct vmx_vcpu *vv);
void vmx_save_kept(struct vmx_vcpu *vv);

static inline struct vmx_vcpu *vmx_of(const struct arch_vcpu *av)
{
    return av->vendor;
}
