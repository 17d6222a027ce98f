// SPDX-License-Identifier: Apache-2.0
//
// x86_64's cases. Those that end the guest leave it to the hypervisor to say why.
#include "guests/redteam/redteam.h"

const struct redteam_case redteam_cases[] = {
    {"console", "escape sequences, forged prefixes, floods", .run = case_console},
    {"msr-read", "RDMSR of every range", .run = case_msr_read, .expects_traps = true},
    {"msr-write", "WRMSR of what can be read, and of what must not be there", .run = case_msr_write,
     .expects_traps = true},
    {"ports", "every port, every width", .run = case_ports},
    {"string-io", "INS and OUTS: directions, page crossings, wrapping, unmapped", .run = case_string_io,
     .expects_traps = true},
    {"control", "impossible values for EFER and XCR0", .run = case_control, .expects_traps = true},
    {"forbidden", "SVM, VMX and other instructions that this CPU does not have", .run = case_forbidden,
     .expects_traps = true},
    {"mmio", "device registers by all kinds of instructions, misaligned, across pages", .run = case_mmio,
     .expects_traps = true},
    {"apic", "local APIC: reserved bits, widths, modes", .run = case_apic, .expects_traps = true},
    {"icr", "interrupt commands of all kinds to everybody and nobody", .run = case_icr,
     .expects_traps = true},
    {"timers", "PIT, HPET, CMOS, PM timer: nonsense", .run = case_timers},
    {"apic-timer", "shortest periods, deadlines long past", .run = case_apic_timer},
    {"level-storm", "a level-triggered interrupt that nobody serves", .run = case_level_storm},
    {"debug", "debug registers, single steps", .run = case_debug, .expects_traps = true},
    {"user", "what a program at CPL 3 must not do", .run = case_user, .expects_traps = true},
    {"flood", "hypercalls without end", .run = case_hypercall_flood},
    {"lost", "a triple fault", .run = case_lost, .ends_guest = true},
    {"walk", "page tables in device registers", .run = case_walk, .ends_guest = true},
    {"entry", "CR0 with paging, without protection", .run = case_entry, .ends_guest = true},
    {"stack", "an exception on a stack in device registers", .run = case_stack, .ends_guest = true},
};
const unsigned redteam_case_count = sizeof(redteam_cases) / sizeof(redteam_cases[0]);
