// SPDX-License-Identifier: Apache-2.0
//
// rvteam: hostile firmware calls and CSR accesses of a riscv64 guest. Prints what each case saw and how many passed; that
// the hypervisor and the neighbours are unharmed is for the test around it to judge.
#include "guests/rvteam/rvteam.h"

static const struct {
    const char *name;
    bool (*run)(void);
} cases[] = {
    {"sbi-base", case_base},       {"sbi-harts", case_harts},           {"sbi-hsm", case_hsm},
    {"sbi-suspend", case_suspend}, {"sbi-steal", case_steal},           {"sbi-console", case_console},
    {"sbi-legacy", case_legacy},   {"sbi-unknown", case_unknown},       {"csr-read", case_csr_read},
    {"csr-write", case_csr_write}, {"instructions", case_instructions}, {"memory", case_memory},
};

void guest_main(void)
{
    unsigned passed = 0;
    unsigned count = sizeof(cases) / sizeof(cases[0]);

    for (unsigned i = 0; i < count; i++) {
        bool ok;

        trap_expected = true;
        ok = cases[i].run();
        trap_expected = false;
        print("rvteam %s: %s\n", cases[i].name, ok ? "PASS" : "FAIL");
        passed += ok;
    }
    print("rvteam: %u of %u passed\n", passed, count);
}
