// SPDX-License-Identifier: Apache-2.0
//
// The CPU contract on riscv64 in HS-mode.
#include "arch/cpu.h"

#include <stdio.h>

#include <asm/isa.h>
#include <asm/sbi.h>

#include "arch/mmu.h"
#include "arch/riscv64/boot/boot.h"
#include "arch/riscv64/cpu/cpu_local.h"
#include "arch/riscv64/mmu/mmu.h"

#define FRAMES_MAX 32

void arch_set_this_cpu(struct cpu *cpu)
{
    asm volatile("mv tp, %0" ::"r"(cpu));
}

void arch_cpu_init(void)
{
    csr_write(sscratch, 0); // cpu/vectors.S: the hypervisor itself runs
    csr_write(stvec, (uint64_t)(uintptr_t)trap_vector);
    csr_write(hideleg, 0);
    csr_write(hedeleg, 0);
    csr_write(hie, 0);
    csr_clear(sstatus, SSTATUS_FS | SSTATUS_VS | SSTATUS_SUM | SSTATUS_MXR);
}

struct secondary_boot secondary_boots[SECONDARY_MAX];

// What the hart reads with its MMU off, be it started by the firmware or waiting at the image's start (boot/entry.S).
static struct secondary_boot *prepare(const struct cpu_start *start)
{
    struct secondary_boot *a = &secondary_boots[start->index];

    a->satp = mmu_satp();
    a->entry = (uint64_t)(uintptr_t)secondary_virtual;
    a->stack_top = (uint64_t)(uintptr_t)start->stack_top;
    a->index = start->index;
    __atomic_store_n(&a->id, start->hw_id + 1, __ATOMIC_RELEASE); // pairs with the fences of late_hart
    __atomic_store_n(&secondaries_known, 1, __ATOMIC_RELEASE);
    arch_dcache_clean_invalidate(a, sizeof(*a));
    arch_dcache_clean_invalidate(&secondaries_known, sizeof(secondaries_known));
    return a;
}

enum status arch_cpu_start(const struct cpu_start *start)
{
    struct sbi_ret r;

    if (start->index >= SECONDARY_MAX) {
        return E_RANGE;
    }
    r = sbi_call(SBI_EXT_HSM, SBI_HSM_START, start->hw_id, arch_virt_to_phys(secondary_entry).v,
                 arch_virt_to_phys(prepare(start)).v);
    switch (r.error) {
    case SBI_SUCCESS:
    case SBI_ERR_ALREADY_AVAILABLE: // it runs: if it waits for us, it has seen what it needs
        return OK;
    case SBI_ERR_NOT_SUPPORTED:
        return E_UNSUPPORTED;
    case SBI_ERR_INVALID_PARAM:
        return E_NOENT;
    default:
        return E_IO;
    }
}

void arch_cpu_idle(void)
{
    asm volatile("fence rw, rw\n\twfi" ::: "memory");
}

// pause (Zihintpause): a fence without effect where it is not known.
void arch_cpu_relax(void)
{
    asm volatile(".insn i 0x0F, 0, x0, x0, 0x010" ::: "memory");
}

void arch_cpu_halt(void)
{
    for (;;) {
        asm volatile("csrci sstatus, 2\n\tcsrw sie, zero\n\twfi" ::: "memory");
    }
}

void arch_context_init(struct arch_context *ctx, void *stack_top, void (*entry)(void *), void *arg)
{
    *ctx = (struct arch_context){
        .ra = (uint64_t)(uintptr_t)context_start,
        .sp = (uint64_t)(uintptr_t)stack_top,
        .s = {0, (uint64_t)(uintptr_t)entry, (uint64_t)(uintptr_t)arg},
    };
}

// A frame pointer points behind its record: previous frame pointer, return address (psABI, 2.2).
void arch_backtrace(const void *frame, uintptr_t stack_lo, uintptr_t stack_hi,
                    void (*emit)(uintptr_t pc, void *ctx), void *ctx)
{
    uintptr_t fp = frame ? (uintptr_t)frame : (uintptr_t)__builtin_frame_address(0);

    for (unsigned n = 0; n < FRAMES_MAX; n++) {
        if (fp < stack_lo + 16 || fp > stack_hi || fp % 16) {
            return;
        }
        const uintptr_t *record = (const uintptr_t *)fp - 2;
        if (record[1]) {
            emit(record[1], ctx);
        }
        if (record[0] <= fp) {
            return;
        }
        fp = record[0];
    }
}

const char *arch_cpu_describe(void)
{
    static char text[96];
    static const enum isa_ext shown[] = {ISA_SSTC, ISA_SSAIA, ISA_V, ISA_SVPBMT, ISA_ZICBOM, ISA_ZICBOZ};
    int n = snprintf(text, sizeof(text), "rv64 Sv%u", mmu_levels() == 4 ? 48u : 39u);

    for (unsigned i = 0; i < ARRAY_SIZE(shown); i++) {
        if (isa_has(shown[i])) {
            n += snprintf(text + n, sizeof(text) - (size_t)n, " %s", isa_name(shown[i]));
        }
    }
    return text;
}

// There are no I/O ports.
uint32_t arch_port_read(uint16_t port, unsigned size)
{
    (void)port;
    return UINT32_MAX >> (32 - 8 * size);
}

void arch_port_write(uint16_t port, unsigned size, uint32_t v)
{
    (void)port;
    (void)size;
    (void)v;
}
