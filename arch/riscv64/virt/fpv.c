// SPDX-License-Identifier: Apache-2.0
//
// FP and vector registers of guests, switched lazily (RISC-V Privileged Architecture, 10.1.1.5 and 18.2.1).
//
// They stay in the hart until somebody else needs it for his, and come when they are used: as long as sstatus.FS or VS is
// off, the guest's first such instruction is illegal, which then is not delegated. What the guest has off itself, in
// vsstatus, is its own affair. Dirty ones are saved when another vCPU is loaded, wherever this one continues.
#include <string.h>

#include <asm/isa.h>

#include "arch/riscv64/cpu/cpu_local.h"
#include "arch/riscv64/virt/exit.h"
#include "arch/riscv64/virt/virt_local.h"
#include "kernel/cpu/cpu.h"
#include "kernel/log/log.h"
#include "kernel/mm/pool.h"

#define NOWHERE UINT32_MAX
#define VLENB_MAX 1024u // 32 KiB for each vCPU
#define VTYPE_ILL BIT64(63)

// Whose registers the CPU holds; each CPU its own entry.
static struct arch_vcpu *fp_owner[CPU_MAX], *vec_owner[CPU_MAX];

// Bytes of a vector register on every hart; 0: guests have none.
static unsigned vlenb;

static size_t vec_size(unsigned bytes)
{
    return sizeof(struct guest_vec) + 32 * (size_t)bytes;
}

void vec_init_cpu(void)
{
    static bool known;
    uint64_t here = 0;

    if (!isa_has(ISA_V)) {
        return;
    }
    if (!isa_has(ISA_D) || !probe_vlenb(&here) || here == 0 || here > VLENB_MAX || (known && here != vlenb)) {
        log_warn("CPU %u: vector registers of %u bytes; guests have none", this_cpu()->index, (unsigned)here);
        here = 0;
    }
    known = true;
    vlenb = (unsigned)here;
}

bool vec_offered(void)
{
    return vlenb != 0;
}

enum status fpv_create(struct arch_vcpu *av)
{
    av->vec = NULL;
    if (vec_offered()) {
        av->vec = pool_alloc(vec_size(vlenb));
        if (!av->vec) {
            return E_NOMEM;
        }
        av->vec->bytes = vlenb;
    }
    return OK;
}

void fpv_destroy(struct arch_vcpu *av)
{
    for (unsigned i = 0; i < CPU_MAX; i++) {
        fp_owner[i] = fp_owner[i] == av ? NULL : fp_owner[i];
        vec_owner[i] = vec_owner[i] == av ? NULL : vec_owner[i];
    }
    if (av->vec) {
        size_t size = vec_size(av->vec->bytes);

        memset(av->vec, 0, size);
        pool_free(av->vec, size);
        av->vec = NULL;
    }
}

void fpv_reset(struct arch_vcpu *av)
{
    memset(&av->fp, 0, sizeof(av->fp));
    av->fp_cpu = NOWHERE;
    av->vec_cpu = NOWHERE;
    if (av->vec) {
        memset(av->vec->regs, 0, 32 * (size_t)av->vec->bytes);
        av->vec->vstart = av->vec->vl = av->vec->vcsr = 0;
        av->vec->vtype = VTYPE_ILL;
    }
}

// On CPU `cpu`, where nobody's registers are in use.
void fpv_take(const struct arch_vcpu *av, unsigned cpu)
{
    uint64_t all = isa_has(ISA_D) ? SSTATUS_FS_CLEAN : 0;
    uint64_t mine = fp_owner[cpu] == av && av->fp_cpu == cpu ? SSTATUS_FS_CLEAN : 0;

    if (av->vec) {
        all |= SSTATUS_VS_CLEAN;
        mine |= vec_owner[cpu] == av && av->vec_cpu == cpu ? SSTATUS_VS_CLEAN : 0;
    }
    csr_set(sstatus, mine);
    // Illegal instructions are the guest's own as soon as none can be for want of registers.
    if (mine == all) {
        csr_set(hedeleg, BIT64(CAUSE_ILLEGAL));
    } else {
        csr_clear(hedeleg, BIT64(CAUSE_ILLEGAL));
    }
}

static void fp_bring(struct arch_vcpu *av, unsigned cpu)
{
    csr_set(sstatus, SSTATUS_FS_DIRTY);
    fp_load(&av->fp);
    csr_clear(sstatus, SSTATUS_FS_INITIAL); // clean
    fp_owner[cpu] = av;
    av->fp_cpu = cpu;
}

static void vec_bring(struct arch_vcpu *av, unsigned cpu)
{
    csr_set(sstatus, SSTATUS_VS_DIRTY);
    vec_load(av->vec);
    csr_clear(sstatus, SSTATUS_VS_INITIAL);
    vec_owner[cpu] = av;
    av->vec_cpu = cpu;
}

bool fpv_bring(struct arch_vcpu *av)
{
    unsigned cpu = this_cpu()->index;
    uint64_t off = ~csr_read(sstatus), on = csr_read(vsstatus);

    if (isa_has(ISA_D) && (on & SSTATUS_FS) && (off & SSTATUS_FS) == SSTATUS_FS) {
        fp_bring(av, cpu);
    } else if (av->vec && vlenb && (on & SSTATUS_VS) && (off & SSTATUS_VS) == SSTATUS_VS) {
        vec_bring(av, cpu);
    } else {
        return false;
    }
    fpv_take(av, cpu); // what has come counts
    return true;
}

static void vec_leave(struct guest_vec *vec, bool dirty)
{
    vec->vstart = csr_read(vstart);
    vec->vtype = csr_read(vtype);
    vec->vl = csr_read(vl);
    vec->vcsr = csr_read(vcsr);
    if (dirty) {
        csr_write(vstart, 0);
        vec_save(vec);
        csr_write(vstart, vec->vstart); // the same vCPU may come next
    }
}

// The CSRs are saved in any case: QEMU (10 and before) forgets that a guest's write to them makes sstatus.FS and VS dirty.
void fpv_leave(struct arch_vcpu *av)
{
    uint64_t status = csr_read(sstatus);

    if (status & SSTATUS_FS) {
        av->fp.fcsr = csr_read(fcsr);
        if ((status & SSTATUS_FS) == SSTATUS_FS_DIRTY) {
            fp_save(&av->fp);
        }
    }
    if (status & SSTATUS_VS) {
        vec_leave(av->vec, (status & SSTATUS_VS) == SSTATUS_VS_DIRTY);
    }
    csr_clear(sstatus, SSTATUS_FS | SSTATUS_VS);
}
