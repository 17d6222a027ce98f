// SPDX-License-Identifier: Apache-2.0
//
// Chooses and runs the cases of the architecture's table and says what came of them.
#include "guests/redteam/redteam.h"

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
        trap_expected = c->expects_traps;
        ok = c->run();
        trap_expected = false;
        print("redteam %s: %s\n", c->name, ok ? "PASS" : "FAIL");
        ran++;
        passed += ok;
    }
    print("redteam: %u of %u passed\n", passed, ran);
}
