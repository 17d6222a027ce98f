// SPDX-License-Identifier: Apache-2.0
//
// The cases of aarch64.
#include "guests/redteam/redteam.h"

#define CHECKED .expects_traps = false // each access says so itself

// Those that leave devices in disorder come last.
const struct redteam_case redteam_cases[] = {
    {"unmapped", "loads and stores where nothing lives", case_unmapped, CHECKED},
    {"registers", "every form of access to emulated registers", case_registers, CHECKED},
    {"wild", "branches to nowhere", case_wild, CHECKED},
    {"walk", "page tables in registers and in nothing", case_walk, CHECKED},
    {"sysreg-read", "reads of every system register encoding", case_sysreg_read, CHECKED},
    {"sysreg-write", "writes to every system register encoding", case_sysreg_write, CHECKED},
    {"system-ops", "every cache, TLB and translation operation", case_system_ops, CHECKED},
    {"hidden", "registers of features that are hidden", case_hidden, CHECKED},
    {"hypercalls", "unknown HVC and SMC functions", case_hypercalls, CHECKED},
    {"hypercall-flood", "many calls in a row", case_hypercall_flood, CHECKED},
    {"psci", "CPU_ON and others with bad arguments", case_psci, CHECKED},
    {"traps", "breakpoints, undefined instructions, SVC", case_traps, CHECKED},
    {"trng", "random numbers by SMCCC", case_trng, CHECKED},
    {"stolen", "the record of stolen time", case_stolen, CHECKED},
    {"idle", "WFI, WFE and YIELD without end", case_idle, CHECKED},
    {"console", "escape sequences, forged prefixes, a flood", case_console, CHECKED},
    {"virtio", "hostile values in virtio registers", case_virtio, CHECKED},
    {"gic-pending", "every interrupt pending at once, disabled and made active while offered",
     case_gic_pending, CHECKED},
    {"gic-unended", "interrupts that never end, a timer always in the past", case_gic_unended, CHECKED},
    {"gic-cpus", "preemption, split ends, two CPUs and each other's interrupts", case_gic_cpus, CHECKED},
    {"gic", "random writes to the interrupt controller", case_gic, CHECKED},
    {"lost", "vectors in nothing: an endless loop of aborts", case_lost, .ends_guest = true},
};
const unsigned redteam_case_count = sizeof(redteam_cases) / sizeof(redteam_cases[0]);
