// SPDX-License-Identifier: Apache-2.0
//
// Chooses and runs the cases and says what came of them.
#include "guests/redteam/redteam.h"

// Those that leave devices in disorder come last.
const struct redteam_case redteam_cases[] = {
    {"unmapped", "loads and stores where nothing lives", case_unmapped, false},
    {"registers", "every form of access to emulated registers", case_registers, false},
    {"wild", "branches to nowhere", case_wild, false},
    {"walk", "page tables in registers and in nothing", case_walk, false},
    {"sysreg-read", "reads of every system register encoding", case_sysreg_read, false},
    {"sysreg-write", "writes to every system register encoding", case_sysreg_write, false},
    {"system-ops", "every cache, TLB and translation operation", case_system_ops, false},
    {"hidden", "registers of features that are hidden", case_hidden, false},
    {"hypercalls", "unknown HVC and SMC functions", case_hypercalls, false},
    {"hypercall-flood", "many calls in a row", case_hypercall_flood, false},
    {"psci", "CPU_ON and others with bad arguments", case_psci, false},
    {"traps", "breakpoints, undefined instructions, SVC", case_traps, false},
    {"trng", "random numbers by SMCCC", case_trng, false},
    {"stolen", "the record of stolen time", case_stolen, false},
    {"idle", "WFI, WFE and YIELD without end", case_idle, false},
    {"console", "escape sequences, forged prefixes, a flood", case_console, false},
    {"virtio", "hostile values in virtio registers", case_virtio, false},
    {"gic-pending", "every interrupt pending at once, disabled and made active while offered",
     case_gic_pending, false},
    {"gic-unended", "interrupts that never end, a timer always in the past", case_gic_unended, false},
    {"gic", "random writes to the interrupt controller", case_gic, false},
    {"lost", "vectors in nothing: an endless loop of aborts", case_lost, true},
};
const unsigned redteam_case_count = sizeof(redteam_cases) / sizeof(redteam_cases[0]);

uint64_t random_next(void)
{
    static uint64_t seed = 88172645463325252;

    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

// The text behind "case=" in bootargs; empty when there is none.
static void find_wanted(char *out, size_t size)
{
    const char *p = board.bootargs;

    out[0] = 0;
    for (; *p; p++) {
        if ((p == board.bootargs || p[-1] == ' ') && text_starts(p, "case=")) {
            text_copy(out, size, p + 5);
            break;
        }
    }
    for (char *q = out; *q; q++) {
        if (*q == ' ') {
            *q = 0;
            break;
        }
    }
}

void guest_main(void)
{
    char wanted[32];
    unsigned ran = 0, passed = 0;

    find_wanted(wanted, sizeof(wanted));
    for (unsigned i = 0; i < redteam_case_count; i++) {
        const struct redteam_case *c = &redteam_cases[i];
        bool ok;

        if (wanted[0] ? !text_equal(wanted, c->name) : c->ends_guest) {
            continue;
        }
        print("redteam %s: %s\n", c->name, c->what);
        ok = c->run();
        trap_expected = false;
        print("redteam %s: %s\n", c->name, ok ? "PASS" : "FAIL");
        ran++;
        passed += ok;
    }
    print("redteam: %u of %u passed\n", passed, ran);
}
