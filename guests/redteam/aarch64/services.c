// SPDX-License-Identifier: Apache-2.0
//
// Services that a hypervisor offers by SMCCC: random numbers (Arm DEN 0098, 2) and stolen time (Arm DEN 0057, 4), as their
// specifications promise them and at their limits.
#include "guests/lib/aarch64/cpu.h"
#include "guests/redteam/redteam.h"

#define TRNG_VERSION 0x84000050u
#define TRNG_FEATURES 0x84000051u
#define TRNG_GET_UUID 0x84000052u
#define TRNG_RND32 0x84000053u
#define TRNG_RND64 0xc4000053u
#define PV_TIME_FEATURES 0xc5000020u
#define PV_TIME_ST 0xc5000021u
#define INVALID_PARAMETERS (-2)

struct results {
    uint64_t x[4];
};

static struct results call(uint64_t function, uint64_t a1)
{
    register uint64_t x0 __asm__("x0") = function;
    register uint64_t x1 __asm__("x1") = a1;
    register uint64_t x2 __asm__("x2") = ~0ul;
    register uint64_t x3 __asm__("x3") = ~0ul;

    __asm__ volatile("hvc #0"
                     : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)
                     :
                     : "memory", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15",
                       "x16", "x17");
    return (struct results){{x0, x1, x2, x3}};
}

static bool answers(uint64_t function, uint64_t a1, int32_t expected)
{
    int32_t got = (int32_t)call(function, a1).x[0];

    if (got != expected) {
        print("  0x%lx(%lu): %d, not %d\n", function, a1, got, expected);
    }
    return got == expected;
}

// So many bits come, right-aligned in the last registers; no more, and never the same again.
static bool bits_come(uint64_t function, unsigned bits, unsigned width)
{
    struct results a = call(function, bits), b = call(function, bits);
    bool ok = a.x[0] == 0 && b.x[0] == 0;

    for (unsigned i = 0; i < 3; i++) {
        unsigned below = i * width; // x3 holds the lowest
        unsigned n = bits <= below ? 0 : bits - below < width ? bits - below : width;

        ok &= n == 64 || (a.x[3 - i] >> n == 0 && b.x[3 - i] >> n == 0);
        ok &= n < 32 || a.x[3 - i] != b.x[3 - i];
    }
    if (!ok) {
        print("  %u bits: 0x%lx 0x%lx 0x%lx\n", bits, a.x[1], a.x[2], a.x[3]);
    }
    return ok;
}

bool case_trng(void)
{
    bool ok = answers(TRNG_VERSION, 0, 0x10000) & answers(TRNG_FEATURES, TRNG_RND64, 0) &
              answers(TRNG_FEATURES, TRNG_RND64 + 1, -1) & answers(TRNG_FEATURES, 0, -1);

    ok &= answers(TRNG_RND64, 0, INVALID_PARAMETERS) & answers(TRNG_RND64, 193, INVALID_PARAMETERS);
    ok &= answers(TRNG_RND64, ~0ul, INVALID_PARAMETERS) & answers(TRNG_RND32, 97, INVALID_PARAMETERS);
    for (unsigned bits = 1; bits <= 192; bits++) {
        ok &= bits_come(TRNG_RND64, bits, 64);
        ok &= bits > 96 || bits_come(TRNG_RND32, bits, 32);
    }
    return ok && (int32_t)call(TRNG_GET_UUID, 0).x[0] != -1;
}

// The record is the hypervisor's: it only grows, and a write gets a fault.
bool case_stolen(void)
{
    bool ok = answers(PV_TIME_FEATURES, PV_TIME_ST, 0) & answers(PV_TIME_FEATURES, PV_TIME_FEATURES, 0) &
              answers(PV_TIME_FEATURES, 0x84000000, -1);
    uint64_t record = call(PV_TIME_ST, 0).x[0];
    uint64_t first;

    if ((int64_t)record < 0 || record % 64) {
        print("  record at 0x%lx\n", record);
        return false;
    }
    ok &= mmio_read32(record) == 0 && mmio_read32(record + 4) == 0; // revision, attributes
    first = mmio_read64(record + 8);
    run_word(0xf9000022, record + 8, 1); // str x2, [x1]
    ok &= last_trap.taken;
    ok &= mmio_read64(record + 8) >= first;
    print("  record at 0x%lx, %lu ns; a write %s\n", record, first, last_trap.taken ? "faults" : "is taken");
    return ok;
}
