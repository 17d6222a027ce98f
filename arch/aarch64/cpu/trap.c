// SPDX-License-Identifier: Apache-2.0
//
// Exceptions that the hypervisor takes itself: repaired when a probe caused them, otherwise a panic.
#include <asm/sysreg.h>

#include "arch/cpu.h"
#include "arch/mmu.h"
#include "kernel/lib/panic.h"

// As stored by cpu/vectors.S.
struct host_frame {
    uint64_t x0_x18[19];
    uint64_t x29, x30;
    uint64_t elr, spsr;
};

void trap_host_sync(struct host_frame *f, uint64_t esr, uint64_t far);
[[gnu::noreturn]] void trap_host_serror(uint64_t esr, uint64_t elr);
[[gnu::noreturn]] void trap_stack_overflow(uint64_t elr, uint64_t far);
[[gnu::noreturn]] void trap_bad_vector(uint64_t vector, uint64_t esr, uint64_t elr);

bool probe_access(volatile uint32_t *va, uint32_t *value, bool write);
extern const char probe_access_insn_write[], probe_access_insn_read[], probe_access_failed[];

static const char *fault_name(uint64_t esr)
{
    switch (ESR_EC(esr)) {
    case EC_DABT_SAME:
        return esr & DABT_WNR ? "bad store" : "bad load";
    case EC_IABT_SAME:
        return "bad jump";
    case EC_UNKNOWN:
        return "undefined instruction";
    case EC_FP:
        return "floating-point instruction";
    case EC_BRK64:
        return "breakpoint";
    default:
        return "exception";
    }
}

void trap_host_sync(struct host_frame *f, uint64_t esr, uint64_t far)
{
    if (f->elr == (uintptr_t)probe_access_insn_write || f->elr == (uintptr_t)probe_access_insn_read) {
        f->elr = (uintptr_t)probe_access_failed;
        return;
    }
    panic("%s at pc %#llx, address %#llx (ESR_EL2 %#llx)", fault_name(esr), (unsigned long long)f->elr,
          (unsigned long long)far, (unsigned long long)esr);
}

void trap_host_serror(uint64_t esr, uint64_t elr)
{
    panic("SError near pc %#llx (ESR_EL2 %#llx)", (unsigned long long)elr, (unsigned long long)esr);
}

void trap_stack_overflow(uint64_t elr, uint64_t far)
{
    panic("stack overflow at pc %#llx, address %#llx", (unsigned long long)elr, (unsigned long long)far);
}

void trap_bad_vector(uint64_t vector, uint64_t esr, uint64_t elr)
{
    panic("exception through vector %llu at pc %#llx (ESR_EL2 %#llx)", (unsigned long long)vector,
          (unsigned long long)elr, (unsigned long long)esr);
}

bool arch_probe_write(volatile uint32_t *va, uint32_t value)
{
    return probe_access(va, &value, true);
}

bool arch_probe_read(const volatile uint32_t *va, uint32_t *value)
{
    return probe_access((volatile uint32_t *)(uintptr_t)va, value, false);
}
