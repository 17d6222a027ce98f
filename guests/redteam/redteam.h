// SPDX-License-Identifier: Apache-2.0
//
// redteam: a guest that attacks the hypervisor, one case at a time.
//
// A case returns true when what it saw is what a guest may see: a value, an architectural exception, an error code. That
// the hypervisor and the neighbours are unharmed is for the test around it to judge. The case is chosen by case=NAME in
// bootargs; without it, all run in turn but those that end the guest.
#pragma once

#include "guests/lib/guest.h"

struct redteam_case {
    const char *name;
    const char *what;
    bool (*run)(void);
    bool ends_guest;    // never returns: only by name
    bool expects_traps; // all the time: a case of aarch64 says so for each access
};

// Each architecture's cases.c.
extern const struct redteam_case redteam_cases[];
extern const unsigned redteam_case_count;

// aarch64: runs one instruction word with x1 = `address` and x2 = `value`; what it left in x2. last_trap tells whether it trapped.
uint64_t run_word(uint32_t word, uint64_t address, uint64_t value);

// A byte-wise reproducible sequence.
uint64_t random_next(void);

// Both architectures (devices.c).
bool case_console(void);
bool case_virtio(void);

// Some have these; which ones, and what for, is in their cases.c.
bool case_unmapped(void);
bool case_registers(void);
bool case_wild(void);
bool case_walk(void);
bool case_sysreg_read(void);
bool case_sysreg_write(void);
bool case_system_ops(void);
bool case_hidden(void);
bool case_hypercalls(void);
bool case_hypercall_flood(void);
bool case_psci(void);
bool case_traps(void);
bool case_idle(void);
bool case_gic(void);
bool case_gic_pending(void);
bool case_gic_unended(void);
bool case_gic_cpus(void);
bool case_lost(void);
bool case_trng(void);
bool case_stolen(void);
bool case_base(void);
bool case_harts(void);
bool case_hsm(void);
bool case_suspend(void);
bool case_steal(void);
bool case_sbi_console(void);
bool case_legacy(void);
bool case_unknown(void);
bool case_csr_read(void);
bool case_csr_write(void);
bool case_instructions(void);
bool case_memory(void);
bool case_fp(void);
bool case_plic(void);
bool case_plic_foreign(void);
bool case_msr_read(void);
bool case_msr_write(void);
bool case_ports(void);
bool case_string_io(void);
bool case_control(void);
bool case_forbidden(void);
bool case_mmio(void);
bool case_apic(void);
bool case_icr(void);
bool case_timers(void);
bool case_apic_timer(void);
bool case_level_storm(void);
bool case_debug(void);
bool case_user(void);
bool case_stack(void);
bool case_entry(void);
