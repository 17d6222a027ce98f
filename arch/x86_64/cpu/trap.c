// SPDX-License-Identifier: Apache-2.0
//
// Exceptions that the hypervisor takes itself: repaired where one was to be expected (the table of cpu/vectors.S),
// otherwise a panic. A push onto an unmapped page becomes a double fault, which has a stack of its own.
#include "arch/x86_64/cpu/trap.h"

#include "arch/cpu.h"
#include "arch/mmu.h"
#include "arch/x86_64/cpu/cpu_local.h"
#include "arch/x86_64/mmu/shootdown.h"
#include "kernel/lib/panic.h"

#define PF_WRITE BIT64(1)
#define PF_FETCH BIT64(4)

enum exception {
    EXC_NMI = 2,
    EXC_DOUBLE_FAULT = 8,
    EXC_PAGE_FAULT = 14
};

struct trap_fixup {
    uint64_t insn, target;
};
extern const struct trap_fixup trap_fixups[], trap_fixups_end[];

static const char *exception_name(const struct host_frame *f)
{
    static const char *const names[] = {
        [0] = "division by zero",     [1] = "debug exception",
        [3] = "breakpoint",           [4] = "overflow",
        [6] = "invalid instruction",  [7] = "floating-point instruction",
        [10] = "invalid task state",  [11] = "segment not present",
        [12] = "stack-segment fault", [13] = "general-protection fault",
        [17] = "alignment check",     [18] = "machine check",
    };

    if (f->vector == EXC_PAGE_FAULT) {
        return f->error & PF_FETCH ? "bad jump" : f->error & PF_WRITE ? "bad store" : "bad load";
    }
    return f->vector < ARRAY_SIZE(names) && names[f->vector] ? names[f->vector] : "exception";
}

void trap_host(struct host_frame *f)
{
    uint64_t address = creg_read(cr2);

    for (const struct trap_fixup *x = trap_fixups; x < trap_fixups_end; x++) {
        if (x->insn == f->rip) {
            f->rip = x->target;
            return;
        }
    }
    if (f->vector == EXC_NMI) {
        shootdown_nmi();
        return;
    }
    if (f->vector == EXC_DOUBLE_FAULT) {
        panic("stack overflow at pc %#llx, address %#llx", (unsigned long long)f->rip,
              (unsigned long long)address);
    }
    panic("%s at pc %#llx, address %#llx (exception %llu, error %#llx)", exception_name(f),
          (unsigned long long)f->rip, (unsigned long long)address, (unsigned long long)f->vector,
          (unsigned long long)f->error);
}

bool arch_probe_write(volatile uint32_t *va, uint32_t value)
{
    return probe_access(va, &value, true);
}

bool arch_probe_read(const volatile uint32_t *va, uint32_t *value)
{
    return probe_access((volatile uint32_t *)(uintptr_t)va, value, false);
}
