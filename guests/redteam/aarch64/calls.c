// SPDX-License-Identifier: Apache-2.0
//
// Attacks by system instructions and firmware calls.
#include "guests/lib/aarch64/cpu.h"
#include "guests/redteam/redteam.h"

#define INSN_SYSREG(read, op0, rest) (0xd5000000u | (read) << 21 | (op0) << 19 | (rest) << 5 | 2u)
#define INSN_HVC 0xd4000002u
#define INSN_SMC 0xd4000003u
#define REST_COUNT (1u << 14) // op1, CRn, CRm, op2
#define REST(op1, crn, crm, op2) ((op1) << 11 | (crn) << 7 | (crm) << 3 | (op2))
#define CALL_FLOOD 200000u
#define NOT_SUPPORTED (-1)
#define ESR_EC(esr) ((esr) >> 26 & 0x3f)

static uint8_t scratch[4096] __attribute__((aligned(4096)));

struct tally {
    unsigned done, undefined, other;
};

static void count(struct tally *t, uint32_t word)
{
    if (!last_trap.taken) {
        t->done++;
    } else if (ESR_EC(last_trap.syndrome) == 0) {
        t->undefined++;
    } else {
        t->other++;
        print("  0x%08x: ESR 0x%08lx\n", word, last_trap.syndrome);
    }
}

static bool report(const struct tally *t)
{
    print("  %u done, %u undefined, %u other exceptions\n", t->done, t->undefined, t->other);
    return t->done > 0 && t->undefined > 0;
}

bool case_sysreg_read(void)
{
    struct tally t = {0};

    for (unsigned op0 = 2; op0 <= 3; op0++) {
        for (uint32_t rest = 0; rest < REST_COUNT; rest++) {
            uint32_t word = INSN_SYSREG(1u, op0, rest);
            run_word(word, 0, 0);
            count(&t, word);
        }
    }
    return report(&t);
}

// Registers without which this guest could not go on.
static bool is_ours(unsigned op0, uint32_t rest)
{
    unsigned op1 = rest >> 11, crn = rest >> 7 & 15, crm = rest >> 3 & 15;

    return op0 == 3 && ((op1 == 0 && (crn == 1 || crn == 2 || crn == 4)) || (op1 == 3 && crn == 4) ||
                        (op1 == 0 && crn == 12 && crm == 0) || (op1 == 4 && crn == 4));
}

bool case_sysreg_write(void)
{
    struct tally t = {0};

    for (unsigned op0 = 2; op0 <= 3; op0++) {
        for (uint32_t rest = 0; rest < REST_COUNT; rest++) {
            uint32_t word = INSN_SYSREG(0u, op0, rest);
            uint64_t value;

            if (is_ours(op0, rest)) {
                continue;
            }
            value = run_word(INSN_SYSREG(1u, op0, rest), 0, 0);
            run_word(word, 0, value);
            count(&t, word);
        }
    }
    write_sysreg("cntv_ctl_el0", 0);
    write_sysreg("cntp_ctl_el0", 0);
    return report(&t);
}

bool case_system_ops(void)
{
    struct tally t = {0};

    for (uint32_t rest = 0; rest < REST_COUNT; rest++) {
        uint32_t word = INSN_SYSREG(0u, 1u, rest);
        run_word(word, 0, (uintptr_t)scratch);
        count(&t, word);
    }
    return report(&t);
}

// Those that stop, suspend or reset us.
static bool ends_us(uint32_t function)
{
    uint32_t n = function & 0xffff;

    return (function & 0xbf000000u) == 0x84000000u &&
           (n == 1 || n == 2 || n == 8 || n == 9 || n == 0xc || n == 0xe || n == 0x12);
}

static uint64_t call_by(uint32_t insn, uint64_t function)
{
    register uint64_t x0 __asm__("x0") = function;
    register uint64_t x1 __asm__("x1") = ~0ul;
    register uint64_t x2 __asm__("x2") = 0x30000000;
    register uint64_t x3 __asm__("x3") = ~0ul >> 1;

    last_trap.taken = false;
    trap_resume = 0;
    trap_expected = true;
    if (insn == INSN_HVC) {
        __asm__ volatile("hvc #0"
                         : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)
                         :
                         : "memory", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14",
                           "x15", "x16", "x17");
    } else {
        __asm__ volatile("smc #0"
                         : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)
                         :
                         : "memory", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14",
                           "x15", "x16", "x17");
    }
    trap_expected = false;
    return x0;
}

static bool is_refusal(uint64_t result)
{
    return last_trap.taken || (int32_t)result < 0;
}

bool case_hypercalls(void)
{
    static const uint64_t unknown[] = {
        0x8400ff00, 0xc4001234, 0x86000042, 0xbf00ff02, 0x12345678, 0xffffffffffffffff,
        0x8000ffff, 0xc3001234, 0x0,        0x1,        0x4,        0x8,
    };
    unsigned answered = 0, refused = 0;
    bool ok = true;

    for (unsigned i = 0; i < 2 * sizeof(unknown) / sizeof(unknown[0]); i++) {
        uint32_t insn = i & 1 ? INSN_SMC : INSN_HVC;
        uint64_t result = call_by(insn, unknown[i / 2]);
        if (!is_refusal(result)) {
            print("  %s 0x%lx: 0x%lx\n", i & 1 ? "smc" : "hvc", unknown[i / 2], result);
            ok = false;
        }
    }
    for (uint32_t owner = 0; owner < 0x80; owner++) {
        for (uint32_t n = 0; n < 0x60; n++) {
            uint32_t function = 0x80000000u | owner << 24 | n;
            if (!ends_us(function)) {
                bool no = is_refusal(call_by(n & 1 ? INSN_SMC : INSN_HVC, function));
                answered += !no;
                refused += no;
            }
        }
    }
    for (uint32_t imm = 1; imm < 0x10000; imm = imm * 3 + 1) {
        run_word(INSN_HVC | imm << 5, 0, 0);
        run_word(INSN_SMC | imm << 5, 0, 0);
    }
    print("  %u functions answered, %u refused\n", answered, refused);
    return ok && refused > answered;
}

bool case_hypercall_flood(void)
{
    uint64_t start = time_now();

    for (unsigned i = 0; i < CALL_FLOOD; i++) {
        if ((int32_t)firmware_call(0x84000000, i, i, i) < 0) {
            return false;
        }
    }
    print("  %u calls in %lu ticks of %lu Hz\n", CALL_FLOOD, time_now() - start, time_hz());
    return true;
}

bool case_psci(void)
{
    uint64_t self = read_sysreg("mpidr_el1") & 0xff00ffffff;
    const struct {
        uint64_t function, a1, a2, a3;
    } calls[] = {
        {0xc4000003, self, board.ram_base, 0},               // CPU_ON: already on
        {0xc4000003, 0xffffffffffffffff, board.ram_base, 0}, // no such CPU
        {0xc4000003, 0xfe, board.ram_base, 0},
        {0xc4000003, 0x100000000, board.ram_base, 0},
        {0xc4000003, self, 0x30000000, 0}, // nowhere
        {0x84000003, self, 0xffffffff, 0},
        {0xc4000004, 0xffffffffffffffff, 0, 0}, // AFFINITY_INFO
        {0xc4000004, self, 9, 0},
        {0xc4000004, 0x12345678, 3, 0},
        {0x8400000a, 0x8400ff00, 0, 0}, // PSCI_FEATURES of nothing
        {0xc4000005, self, 0, 0},       // MIGRATE
        {0xc400000d, 3, 0, 0},          // CPU_FREEZE and the like
        {0xc4000010, self, 99, 0},
    };
    bool ok = true;

    for (unsigned i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        int32_t r = (int32_t)firmware_call(calls[i].function, calls[i].a1, calls[i].a2, calls[i].a3);
        print("  0x%lx(0x%lx, 0x%lx): %d\n", calls[i].function, calls[i].a1, calls[i].a2, r);
        ok &= r < 0;
    }
    return ok;
}

bool case_traps(void)
{
    static const uint32_t words[] = {
        0xd4200000, // brk #0
        0xd43fffe0, // brk #0xffff
        0xd4400000, // hlt #0
        0x00000000, // udf #0
        0xd4000001, // svc #0
        0xd41fffe1, // svc #0xffff
        0xd4a00001, // dcps1
        0xd6bf03e0, // drps
        0x1e602020, // fcmp: allowed
        0x04a00000, // SVE add
        0xc0800000, // SME
        0xdac103e0, // pacia
        0xd503237f, // xpac hints
        0x9ac20000, // unallocated data processing
        0xffffffff,
    };
    unsigned trapped = 0;

    for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        run_word(words[i], 0, 0);
        print("  0x%08x: %s 0x%08lx\n", words[i], last_trap.taken ? "ESR" : "done,", last_trap.syndrome);
        trapped += last_trap.taken;
    }
    return trapped >= 6;
}
