// SPDX-License-Identifier: Apache-2.0
//
// The VMCS as an object that at most one CPU holds (Intel SDM vol. 3C, 24.1, 24.11): current while its vCPU is loaded, in
// memory and clear otherwise. Whoever wants something of one that is loaded nowhere borrows the CPU for it.
#include "arch/cpu.h"
#include "arch/x86_64/vmx/vmx_local.h"
#include "kernel/cpu/cpu.h"
#include "kernel/lib/panic.h"

static struct vmx_vcpu *current[CPU_MAX];

uint64_t vmcs_read(enum vmcs_field f)
{
    uint64_t v = 0;

    asm goto("vmread %1, %0\n\tjbe %l[bad]" : "=r"(v) : "r"((uint64_t)f) : "cc", "memory" : bad);
    return v;
bad:
    panic("VMREAD of field %#x failed", (unsigned)f);
}

void vmcs_write(enum vmcs_field f, uint64_t v)
{
    asm goto("vmwrite %1, %0\n\tjbe %l[bad]" ::"r"((uint64_t)f), "r"(v) : "cc", "memory" : bad);
    return;
bad:
    panic("VMWRITE of field %#x failed", (unsigned)f);
}

static void vmptrld(const struct vmx_vcpu *vv)
{
    asm goto("vmptrld %0\n\tjbe %l[bad]" ::"m"(vv->vmcs_pa.v) : "cc", "memory" : bad);
    return;
bad:
    panic("VMPTRLD failed");
}

static void vmclear(struct vmx_vcpu *vv)
{
    asm volatile("vmclear %0" ::"m"(vv->vmcs_pa.v) : "cc", "memory");
    vv->launched = false;
}

void vmcs_load(struct vmx_vcpu *vv)
{
    unsigned cpu = this_cpu()->index;

    vmptrld(vv);
    current[cpu] = vv;
    vv->active = true;
}

void vmcs_clear(struct vmx_vcpu *vv)
{
    vmclear(vv);
    current[this_cpu()->index] = NULL;
    vv->active = false;
}

unsigned long vmcs_acquire(const struct arch_vcpu *av)
{
    struct vmx_vcpu *vv = vmx_of(av);
    unsigned long state;

    if (vv->active || vv->borrowed++) {
        return 0;
    }
    state = arch_irq_save();
    vmptrld(vv);
    return state;
}

void vmcs_release(const struct arch_vcpu *av, unsigned long state)
{
    struct vmx_vcpu *vv = vmx_of(av), *own;

    if (vv->active || --vv->borrowed) {
        return;
    }
    vmclear(vv);
    own = current[this_cpu()->index];
    if (own) {
        vmptrld(own);
    }
    arch_irq_restore(state);
}
