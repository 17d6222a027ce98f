// SPDX-License-Identifier: Apache-2.0
//
// The CPU contract on aarch64 at EL2.
#include "arch/cpu.h"

#include <string.h>

#include <asm/sysreg.h>

#include "arch/aarch64/boot/boot.h"
#include "arch/aarch64/cpu/psci.h"
#include "arch/mmu.h"
#include "kernel/lib/panic.h"

#define FRAMES_MAX 32

extern char el2_vectors[];
void context_start(void);

void arch_set_this_cpu(struct cpu *cpu)
{
    sysreg_write(tpidr_el2, (uint64_t)(uintptr_t)cpu);
}

void arch_cpu_init(void)
{
    sysreg_write(vbar_el2, (uint64_t)(uintptr_t)el2_vectors);
    // Interrupts and SErrors taken while at EL2 come to EL2; the rest of HCR_EL2 is the loaded vCPU's business.
    sysreg_write(hcr_el2, HCR_RW | HCR_IMO | HCR_FMO | HCR_AMO);
    sysreg_write(cptr_el2, CPTR_EL2_RES1 & ~CPTR_EL2_TFP);
    isb();
}

struct secondary_boot secondary_boots[SECONDARY_MAX];

static enum status start_by_psci(const struct cpu_start *start, const struct secondary_boot *boot)
{
    return psci_cpu_on(start->hw_id & MPIDR_AFF_MASK, arch_virt_to_phys((const void *)secondary_entry),
                       arch_virt_to_phys(boot));
}

// It watches a word of memory for the address to go to (Linux, Documentation/arch/arm64/booting.rst), perhaps with its
// caches on, perhaps together with others: they all come, each finds its own boot record by its MPIDR.
static enum status start_by_spin_table(const struct cpu_start *start, const struct secondary_boot *boot)
{
    const void *word = (const void *)(uintptr_t)start->release;

    (void)boot;
    if (start->release == NULL) {
        return E_INVAL;
    }
    arch_dcache_clean_invalidate(word, sizeof(*start->release));
    *start->release = arch_virt_to_phys((const void *)secondary_spin_entry).v;
    arch_dcache_clean_invalidate(word, sizeof(*start->release));
    asm volatile("sev" ::: "memory");
    return OK;
}

static const struct start_method {
    const char *name;
    enum status (*start)(const struct cpu_start *start, const struct secondary_boot *boot);
} start_methods[] = {
    {"psci", start_by_psci},
    {"spin-table", start_by_spin_table},
};

// For a CPU with its caches off; `id` last, since it may be looking already.
static void publish_boot(struct secondary_boot *b, const struct cpu_start *start)
{
    b->root = arch_host_pt_root().v;
    b->stack_top = (uint64_t)(uintptr_t)start->stack_top;
    b->index = start->index;
    arch_dcache_clean_invalidate(b, sizeof(*b));
    b->id = (start->hw_id & MPIDR_AFF_MASK) | SECONDARY_READY;
    arch_dcache_clean_invalidate(b, sizeof(*b));
}

enum status arch_cpu_start(const struct cpu_start *start)
{
    struct secondary_boot *b;

    if (start->index >= SECONDARY_MAX) {
        return E_RANGE;
    }
    b = &secondary_boots[start->index];
    for (unsigned i = 0; i < ARRAY_SIZE(start_methods); i++) {
        if (strcmp(start->method, start_methods[i].name) == 0) {
            publish_boot(b, start);
            return start_methods[i].start(start, b);
        }
    }
    return E_UNSUPPORTED;
}

void arch_cpu_idle(void)
{
    dsb(sy);
    asm volatile("wfi" ::: "memory");
}

void arch_cpu_relax(void)
{
    asm volatile("yield" ::: "memory");
}

void arch_cpu_halt(void)
{
    for (;;) {
        asm volatile("msr daifset, #15\n\twfi" ::: "memory");
    }
}

void arch_context_init(struct arch_context *ctx, void *stack_top, void (*entry)(void *), void *arg)
{
    *ctx = (struct arch_context){
        .x19_x28 = {(uint64_t)(uintptr_t)entry, (uint64_t)(uintptr_t)arg},
        .x30 = (uint64_t)(uintptr_t)context_start,
        .sp = (uint64_t)(uintptr_t)stack_top,
    };
}

void arch_backtrace(const void *frame, uintptr_t stack_lo, uintptr_t stack_hi,
                    void (*emit)(uintptr_t pc, void *ctx), void *ctx)
{
    uintptr_t fp = frame ? (uintptr_t)frame : (uintptr_t)__builtin_frame_address(0);

    for (unsigned n = 0; n < FRAMES_MAX; n++) {
        if (fp < stack_lo || fp + 16 > stack_hi || fp % 16) {
            return;
        }
        const uintptr_t *record = (const uintptr_t *)fp;
        if (record[1]) {
            emit(record[1], ctx);
        }
        if (record[0] <= fp) {
            return;
        }
        fp = record[0];
    }
}

struct part_name {
    uint16_t part;
    const char *name;
};

const char *arch_cpu_describe(void)
{
    static const struct part_name parts[] = {
        {0xD03, "Cortex-A53"},  {0xD04, "Cortex-A35"},  {0xD05, "Cortex-A55"},  {0xD07, "Cortex-A57"},
        {0xD08, "Cortex-A72"},  {0xD09, "Cortex-A73"},  {0xD0A, "Cortex-A75"},  {0xD0B, "Cortex-A76"},
        {0xD0C, "Neoverse N1"}, {0xD40, "Neoverse V1"}, {0xD49, "Neoverse N2"}, {0x051, "QEMU max"},
    };
    uint64_t part = (sysreg_read(midr_el1) >> 4) & 0xFFF;

    for (unsigned i = 0; i < ARRAY_SIZE(parts); i++) {
        if (parts[i].part == part) {
            return parts[i].name;
        }
    }
    return "unknown CPU model";
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
