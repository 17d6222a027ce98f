// SPDX-License-Identifier: Apache-2.0
//
// Exceptions that the hypervisor takes itself: repaired where one was to be expected (the table that cpu/vectors.S and
// virt/exit.h fill),
// otherwise a panic.
#include <asm/csr.h>

#include "arch/cpu.h"
#include "arch/mmu.h"
#include "arch/riscv64/cpu/cpu_local.h"
#include "kernel/lib/panic.h"

// As stored by cpu/vectors.S.
struct host_frame {
    uint64_t ra, t0, t1, t2, t3, t4, t5, t6;
    uint64_t a[8];
    uint64_t pc, sstatus;
};

struct trap_fixup {
    uint64_t insn, target;
};
extern const struct trap_fixup __start_trap_fixups[], __stop_trap_fixups[];

void trap_host_sync(struct host_frame *f, uint64_t cause, uint64_t tval);
[[gnu::noreturn]] void trap_stack_overflow(uint64_t pc, uint64_t tval);

static const char *fault_name(uint64_t cause)
{
    static const char *const names[] = {
        [CAUSE_FETCH_MISALIGNED] = "misaligned jump",
        [CAUSE_FETCH_ACCESS] = "bad jump",
        [CAUSE_ILLEGAL] = "illegal instruction",
        [CAUSE_BREAKPOINT] = "breakpoint",
        [CAUSE_LOAD_MISALIGNED] = "misaligned load",
        [CAUSE_LOAD_ACCESS] = "bad load (access fault)",
        [CAUSE_STORE_MISALIGNED] = "misaligned store",
        [CAUSE_STORE_ACCESS] = "bad store (access fault)",
        [CAUSE_FETCH_PAGE] = "bad jump",
        [CAUSE_LOAD_PAGE] = "bad load",
        [CAUSE_STORE_PAGE] = "bad store",
    };

    return cause < ARRAY_SIZE(names) && names[cause] ? names[cause] : "exception";
}

void trap_host_sync(struct host_frame *f, uint64_t cause, uint64_t tval)
{
    for (const struct trap_fixup *x = __start_trap_fixups; x < __stop_trap_fixups; x++) {
        if (x->insn == f->pc) {
            f->pc = x->target;
            return;
        }
    }
    panic("%s at pc %#llx, address %#llx (scause %llu)", fault_name(cause), (unsigned long long)f->pc,
          (unsigned long long)tval, (unsigned long long)cause);
}

void trap_stack_overflow(uint64_t pc, uint64_t tval)
{
    panic("stack overflow at pc %#llx, address %#llx", (unsigned long long)pc, (unsigned long long)tval);
}

bool arch_probe_write(volatile uint32_t *va, uint32_t value)
{
    return probe_access(va, &value, true);
}

bool arch_probe_read(const volatile uint32_t *va, uint32_t *value)
{
    return probe_access((volatile uint32_t *)(uintptr_t)va, value, false);
}
