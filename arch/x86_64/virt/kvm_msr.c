// SPDX-License-Identifier: Apache-2.0
//
// What a guest that knows KVM is told through its memory: a clock, the date, the time that others took (Linux:
// Documentation/virt/kvm/x86/msr.rst). The guest's TSC counts from its VM's creation and is never changed, so the clock is
// written once, when it is asked for.
#include "arch/time.h"
#include "arch/x86_64/virt/pvclock.h"
#include "arch/x86_64/virt/virt_local.h"
#include "kernel/time/wallclock.h"
#include "vmm/core/stolen.h"

#define MSR_ENABLE UINT64_C(1)
#define STEAL_RESERVED MASK64(1, 5)

bool x86_kvm_wall(struct arch_vcpu *av, uint32_t msr, uint64_t v)
{
    uint64_t age = (arch_time_now() + av->vm->tsc_offset) / arch_time_hz(), now = wallclock_now();
    struct pvclock_wall w = {.version = 2, .seconds = now > age ? (uint32_t)(now - age) : 0};

    (void)msr;
    return av->up->write(av, gpa(v), &w, sizeof(w));
}

bool x86_kvm_time(struct arch_vcpu *av, uint32_t msr, uint64_t v)
{
    struct pvclock_time t = pvclock_of(arch_time_hz());

    (void)msr;
    if (v & MSR_ENABLE && !av->up->write(av, gpa(v & ~MSR_ENABLE), &t, sizeof(t))) {
        return false;
    }
    av->msr.kvm_time = v;
    return true;
}

bool x86_kvm_steal(struct arch_vcpu *av, uint32_t msr, uint64_t v)
{
    struct vcpu_exit e = {
        .kind = VCPU_EXIT_HYPERCALL,
        .hypercall = {.function = VCPU_CALL_STOLEN_SHARE,
                      .args = {v & MSR_ENABLE ? v & ~MSR_ENABLE : STOLEN_NOWHERE, STOLEN_KVM}},
    };

    (void)msr;
    if (v & STEAL_RESERVED) {
        return false;
    }
    av->up->exit(av, &e);
    if (!e.hypercall.handled || e.hypercall.result[0] != OK) {
        return false;
    }
    av->msr.kvm_steal = v;
    return true;
}

bool x86_kvm_read_time(struct arch_vcpu *av, uint32_t msr, uint64_t *out)
{
    (void)msr;
    *out = av->msr.kvm_time;
    return true;
}

bool x86_kvm_read_steal(struct arch_vcpu *av, uint32_t msr, uint64_t *out)
{
    (void)msr;
    *out = av->msr.kvm_steal;
    return true;
}
