// SPDX-License-Identifier: Apache-2.0
//
// What the vCPU's files of arch/riscv64/virt share beside the exit path.
#pragma once

#include <asm/virt.h>

#include "arch/riscv64/virt/exit.h"
#include "kernel/lib/status.h"

// The guest's timer (vtimer.c): vstimecmp where the hart has Sstc, else a host timer that raises the interrupt. Interrupts
// masked, the vCPU's own CPU.
enum status vtimer_create(struct arch_vcpu *av);
void vtimer_destroy(struct arch_vcpu *av);
// The calling thread is the one to wake.
void vtimer_bind(struct arch_vcpu *av);
struct thread *vtimer_thread(const struct arch_vcpu *av);
void vtimer_load_by_host(struct arch_vcpu *av);
uint64_t vtimer_put_own(const struct arch_vcpu *av);
static inline void vtimer_load(struct arch_vcpu *av)
{
    if (!vtimer_by_host) {
        csr_write(vstimecmp, av->csr.vstimecmp);
    } else {
        vtimer_load_by_host(av);
    }
}

// Returns what arch_vcpu_put() is to.
static inline uint64_t vtimer_put(struct arch_vcpu *av)
{
    if (vtimer_by_host) {
        return UINT64_MAX; // its host timer stays armed
    }
    av->csr.vstimecmp = csr_read(vstimecmp);
    csr_write(vstimecmp, UINT64_MAX);
    return vtimer_put_own(av);
}

// In guest time; UINT64_MAX when none is set.
static inline uint64_t vtimer_deadline(const struct arch_vcpu *av)
{
    return av->loaded && !vtimer_by_host ? csr_read(vstimecmp) : av->csr.vstimecmp;
}

static inline bool vtimer_expired(const struct arch_vcpu *av)
{
    return csr_read(time) + av->vm->htimedelta >= vtimer_deadline(av);
}

// FP and vector registers (fpv.c). Interrupts masked, but for the first four.
void vec_init_cpu(void); // each CPU, before any guest runs on it
bool vec_offered(void);  // guests have vector registers
enum status fpv_create(struct arch_vcpu *av);
void fpv_destroy(struct arch_vcpu *av);
void fpv_reset(struct arch_vcpu *av); // loaded nowhere
void fpv_take(const struct arch_vcpu *av, unsigned cpu);
void fpv_leave(struct arch_vcpu *av);
// The loaded guest met an illegal instruction: lacked it registers that it may use, it has them now, and is to try again.
bool fpv_bring(struct arch_vcpu *av);

// fp.S and vec.S; sstatus.FS or VS is on.
void fp_save(struct guest_fp *fp);
void fp_load(const struct guest_fp *fp);
void vec_save(struct guest_vec *vec);
void vec_load(const struct guest_vec *vec);

// True when entries that another VM left in this CPU's TLB carry the VMID of `vm` too. On the CPU, at load.
bool vm_shares_vmid(const struct arch_vm *vm, unsigned cpu);

// Guest interrupt files of the machine (irq_files.c): finds this CPU's; and nobody on this CPU waits for his any more.
void irq_files_init_cpu(void);
void irq_files_rest(void);
