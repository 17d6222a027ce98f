// SPDX-License-Identifier: Apache-2.0
//
// The cases of riscv64: firmware calls, CSRs and instructions of other privileges, the interrupt controller.
#include "guests/redteam/redteam.h"

#define TRAPS .expects_traps = true

// Those that leave devices in disorder come last.
const struct redteam_case redteam_cases[] = {
    {"sbi-base", "probing of what there is", case_base, TRAPS},
    {"sbi-harts", "IPIs and fences to harts that are not there", case_harts, TRAPS},
    {"sbi-hsm", "hart management with bad arguments", case_hsm, TRAPS},
    {"sbi-suspend", "suspension to bad places", case_suspend, TRAPS},
    {"sbi-steal", "records of steal time in bad places", case_steal, TRAPS},
    {"sbi-console", "text in bad places", case_sbi_console, TRAPS},
    {"sbi-legacy", "hart masks behind bad pointers", case_legacy, TRAPS},
    {"sbi-unknown", "extensions that nobody has", case_unknown, TRAPS},
    {"csr-read", "reads of every CSR", case_csr_read, TRAPS},
    {"csr-write", "writes to every CSR", case_csr_write, TRAPS},
    {"instructions", "instructions of other privileges", case_instructions, TRAPS},
    {"memory", "accesses to nothing, and odd ones to registers", case_memory, TRAPS},
    {"fp", "FP registers across sleeps beside others", case_fp, TRAPS},
    {"registers", "every form of access to emulated registers", case_registers, TRAPS},
    {"wild", "branches to nowhere", case_wild, TRAPS},
    {"walk", "page tables in registers and in nothing", case_walk, TRAPS},
    {"idle", "WFI with a timer always in the past", case_idle, TRAPS},
    {"console", "escape sequences, forged prefixes, a flood", case_console, TRAPS},
    {"virtio", "hostile values in virtio registers", case_virtio, TRAPS},
    {"plic-foreign", "contexts and sources that are not ours, claims of nothing", case_plic_foreign, TRAPS},
    {"plic", "random writes to the interrupt controller", case_plic, TRAPS},
    {"lost", "a trap vector in nothing: an endless loop of faults", case_lost, .ends_guest = true},
};
const unsigned redteam_case_count = sizeof(redteam_cases) / sizeof(redteam_cases[0]);
