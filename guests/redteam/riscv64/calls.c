// SPDX-License-Identifier: Apache-2.0
//
// Firmware calls with arguments that make no sense (SBI 2.0).
#include "guests/lib/riscv64/cpu.h"
#include "guests/redteam/redteam.h"

#define EXT_BASE 0x10
#define EXT_IPI 0x735049
#define EXT_RFENCE 0x52464E43
#define EXT_HSM 0x48534D
#define EXT_SRST 0x53525354
#define EXT_DBCN 0x4442434E
#define EXT_STA 0x535441
#define NOT_SUPPORTED (-2)
#define INVALID_PARAM (-3)
#define INVALID_ADDRESS (-5)
#define ALREADY_AVAILABLE (-6)
#define ALL UINT64_MAX

static bool expect(const char *what, struct sbi_ret r, int64_t error)
{
    if (r.error != error) {
        print("  %s: %ld instead of %ld\n", what, (long)r.error, (long)error);
    }
    return r.error == error;
}

bool case_base(void)
{
    bool ok = sbi_call(EXT_BASE, 0, 0, 0, 0, 0).value == 0x02000000;

    ok &= sbi_call(EXT_BASE, 3, EXT_RFENCE, 0, 0, 0).value == 1;
    ok &= sbi_call(EXT_BASE, 3, 0x12345678, 0, 0, 0).value == 0;
    ok &= sbi_call(EXT_BASE, 3, UINT64_MAX, 0, 0, 0).value == 0;
    return ok & expect("unknown function", sbi_call(EXT_BASE, 99, 0, 0, 0, 0), NOT_SUPPORTED);
}

// One hart, number 0: every other is absent.
bool case_harts(void)
{
    static const struct {
        uint64_t mask, base;
        int64_t error;
    } sets[] = {
        {1, 0, 0},
        {0, 0, 0},
        {0, 77, 0},
        {5, ALL, 0},
        {0, ALL, 0},
        {2, 0, INVALID_PARAM},
        {1, 1, INVALID_PARAM},
        {3, 63, INVALID_PARAM},
        {1, 64, INVALID_PARAM},
        {ALL, 0, INVALID_PARAM},
        {1, ALL - 1, INVALID_PARAM},
        {ALL, ALL - 63, INVALID_PARAM},
        {UINT64_C(1) << 63, 1, INVALID_PARAM},
        {UINT64_C(1) << 63, 0, INVALID_PARAM},
    };
    static const uint64_t ranges[][2] = {{0, 0},
                                         {0, ALL},
                                         {ALL, ALL},
                                         {0x80000000, 4096},
                                         {4096, ALL - 100},
                                         {ALL - 4095, 8192},
                                         {1, 1},
                                         {0, UINT64_C(1) << 62}};
    bool ok = true;

    for (unsigned i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
        ok &= expect("send_ipi", sbi_call(EXT_IPI, 0, sets[i].mask, sets[i].base, 0, 0), sets[i].error);
        for (uint64_t fn = 0; fn < 3; fn++) {
            for (unsigned r = 0; r < sizeof(ranges) / sizeof(ranges[0]); r++) {
                ok &= expect("rfence",
                             sbi_call(EXT_RFENCE, fn, sets[i].mask, sets[i].base, ranges[r][0], ranges[r][1]),
                             sets[i].error);
            }
        }
    }
    clear_csr("sip", 2);
    for (uint64_t fn = 3; fn < 8; fn++) {
        ok &= expect("hypervisor fence", sbi_call(EXT_RFENCE, fn, 1, 0, 0, 0), NOT_SUPPORTED);
    }
    return ok;
}

bool case_hsm(void)
{
    bool ok = expect("start of an absent hart", sbi_call(EXT_HSM, 0, 5, 0x80200000, 0, 0), INVALID_PARAM);

    ok &= expect("start of hart -1", sbi_call(EXT_HSM, 0, ALL, 0x80200000, 0, 0), INVALID_PARAM);
    ok &= expect("start of oneself", sbi_call(EXT_HSM, 0, boot_hart, board.ram_base + 0x200000, 0, 0),
                 ALREADY_AVAILABLE);
    ok &= expect("start at no memory", sbi_call(EXT_HSM, 0, boot_hart, 0x1000, 0, 0), INVALID_ADDRESS);
    ok &= expect("state of an absent hart", sbi_call(EXT_HSM, 2, 64, 0, 0, 0), INVALID_PARAM);
    ok &= expect("own state", sbi_call(EXT_HSM, 2, boot_hart, 0, 0, 0), 0);
    ok &= expect("suspend of a reserved type", sbi_call(EXT_HSM, 3, 0x7fffffff, 0, 0, 0), INVALID_PARAM);
    ok &= expect("reset of a reserved type", sbi_call(EXT_SRST, 0, 77, 0, 0, 0), INVALID_PARAM);
    return ok & expect("reset with a reserved reason", sbi_call(EXT_SRST, 0, 0, 0x7777, 0, 0), INVALID_PARAM);
}

// Suspended with an interrupt pending, it comes straight back, at the address it gave.
extern uint64_t suspended_sp;
uint64_t suspended_sp; // named in the assembler code

static bool suspend_lossy(void)
{
    register uint64_t a0 __asm__("a0") = 0x80000000;
    register uint64_t a1 __asm__("a1");
    register uint64_t a2 __asm__("a2") = 0x5AFE;
    register uint64_t a6 __asm__("a6") = 3;
    register uint64_t a7 __asm__("a7") = EXT_HSM;

    __asm__ volatile("lla t0, suspended_sp\n\t"
                     "sd sp, (t0)\n\t"
                     "lla a1, 1f\n\t"
                     "ecall\n\t"
                     "li a1, 0\n\t" // it returned: wrong
                     ".balign 4\n1:\t"
                     "lla t0, suspended_sp\n\t"
                     "ld sp, (t0)"
                     : "+r"(a0), "=r"(a1), "+r"(a2), "+r"(a6), "+r"(a7)
                     :
                     : "memory", "ra", "t0", "t1", "t2", "t3", "t4", "t5", "t6", "a3", "a4", "a5", "s1", "s2",
                       "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11");
    return a0 == boot_hart && a1 == 0x5AFE && read_csr("satp") == 0;
}

bool case_suspend(void)
{
    bool ok = expect("to no memory", sbi_call(EXT_HSM, 3, 0x80000000, 0x1000, 0, 0), INVALID_ADDRESS);

    ok &= expect("to a device", sbi_call(EXT_HSM, 3, 0x80000000, board.uart, 0, 0), INVALID_ADDRESS);
    ok &= expect("to nowhere", sbi_call(EXT_HSM, 3, 0x80000000, ALL, 0, 0), INVALID_ADDRESS);
    ok &= expect("of a platform's type", sbi_call(EXT_HSM, 3, 0x90000000, 0x80200000, 0, 0), INVALID_PARAM);
    ok &= expect("of a type of 64 bits", sbi_call(EXT_HSM, 3, UINT64_C(1) << 32, 0, 0, 0), INVALID_PARAM);
    sbi_call(EXT_IPI, 0, 1, 0, 0, 0);
    set_csr("sie", 2);
    ok &= suspend_lossy();
    clear_csr("sie", 2);
    clear_csr("sip", 2);
    return ok;
}

// Steal time: a record where there is no memory, and a good one, which must count while the neighbour runs.
bool case_steal(void)
{
    static _Alignas(64) volatile uint64_t record[16] = {[0 ... 15] = UINT64_MAX};
    uint64_t at = (uint64_t)(uintptr_t)record;
    bool ok = sbi_call(EXT_BASE, 3, EXT_STA, 0, 0, 0).value == 1;

    ok &= expect("misaligned", sbi_call(EXT_STA, 0, at + 8, 0, 0, 0), INVALID_PARAM);
    ok &= expect("flags", sbi_call(EXT_STA, 0, at, 0, 1, 0), INVALID_PARAM);
    ok &= expect("no memory", sbi_call(EXT_STA, 0, 0x1000, 0, 0, 0), INVALID_ADDRESS);
    ok &= expect("a device", sbi_call(EXT_STA, 0, board.uart, 0, 0, 0), INVALID_ADDRESS);
    ok &= expect("past the end", sbi_call(EXT_STA, 0, board.ram_base + board.ram_size, 0, 0, 0),
                 INVALID_ADDRESS);
    ok &= expect("high half", sbi_call(EXT_STA, 0, at, 1, 0, 0), INVALID_ADDRESS);
    ok &= expect("half of none", sbi_call(EXT_STA, 0, ALL - 63, ALL, 0, 0), INVALID_ADDRESS);
    ok &= expect("function", sbi_call(EXT_STA, 1, at, 0, 0, 0), NOT_SUPPORTED);
    ok &= record[0] == UINT64_MAX;
    ok &= expect("good", sbi_call(EXT_STA, 0, at, 0, 0, 0), 0);
    ok &= (record[0] & 1) == 0 && record[0] >> 32 == 0 && record[2] == 0 && record[7] == 0 &&
          record[8] == UINT64_MAX; // 64 bytes, no more
    ok &= expect("none", sbi_call(EXT_STA, 0, ALL, ALL, 0, 0), 0);
    return ok;
}

bool case_sbi_console(void)
{
    static const char text[] = "  by the debug console\r\n";
    uint64_t at = (uint64_t)(uintptr_t)text;
    bool ok = expect("write", sbi_call(EXT_DBCN, 0, sizeof(text) - 1, at, 0, 0), 0);

    ok &= expect("write of nothing", sbi_call(EXT_DBCN, 0, 0, at, 0, 0), 0);
    ok &= expect("write of no memory", sbi_call(EXT_DBCN, 0, 16, 0x1000, 0, 0), INVALID_PARAM);
    ok &= expect("write of device registers", sbi_call(EXT_DBCN, 0, 16, board.uart, 0, 0), INVALID_PARAM);
    ok &= expect("write past the end", sbi_call(EXT_DBCN, 0, 64, board.ram_base + board.ram_size - 8, 0, 0),
                 INVALID_PARAM);
    ok &= expect("write that wraps", sbi_call(EXT_DBCN, 0, 16, ALL - 3, 0, 0), INVALID_PARAM);
    ok &= expect("write with a high half", sbi_call(EXT_DBCN, 0, 16, at, 1, 0), INVALID_PARAM);
    return ok & expect("read to no memory", sbi_call(EXT_DBCN, 1, 16, 0x1000, 0, 0), INVALID_PARAM);
}

#define SIP_SSI 2u
#define SATP_SV39 (UINT64_C(8) << 60)
#define GIB (UINT64_C(1) << 30)
#define SOMEWHERE (100 * GIB)

static uint64_t root[512] __attribute__((aligned(4096)));

// Calls 4 to 7 take a virtual address: with translation on, RAM's gigabyte is also found somewhere else, and nothing behind
// it.
static bool legacy_translated(void)
{
    static volatile uint64_t mask;
    const uint64_t there = SOMEWHERE | ((uint64_t)(uintptr_t)&mask & (GIB - 1));
    bool ok = true;

    for (uint64_t i = 0; i < 4; i++) {
        root[i] = i << 28 | 0xcf;
    }
    root[SOMEWHERE / GIB] = root[board.ram_base / GIB];
    __asm__ volatile("sfence.vma" : : : "memory");
    write_csr("satp", SATP_SV39 | (uintptr_t)root >> 12);
    for (mask = 0; mask < 2; mask++) {
        clear_csr("sip", SIP_SSI);
        ok &= expect("translated pointer", sbi_call(4, 0, there, 0, 0, 0), 0);
        ok &= (read_csr("sip") & SIP_SSI) == mask * SIP_SSI;
    }
    clear_csr("sip", SIP_SSI);
    ok &= sbi_call(4, 0, there + GIB, 0, 0, 0).error != 0;
    ok &= sbi_call(4, 0, SOMEWHERE + GIB - 4, 0, 0, 0).error != 0;
    ok &= (read_csr("sip") & SIP_SSI) == 0;
    write_csr("satp", 0);
    __asm__ volatile("sfence.vma" : : : "memory");
    return ok;
}

// Pointers to the hart mask: a good one, none, and bad ones, which are an error and no trap.
bool case_legacy(void)
{
    static const uint64_t mask = ALL;
    static const uint64_t bad[] = {0x1000, 0x10000000, 0xffffffffffffff00, 0x8000000000000000};
    bool ok = true;

    for (uint64_t call = 4; call < 8; call++) {
        ok &= expect("good pointer", sbi_call(call, 0, (uint64_t)(uintptr_t)&mask, 0, ALL, 0), 0);
        ok &= expect("no pointer", sbi_call(call, 0, 0, 0, ALL, 0), 0);
        for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
            ok &= sbi_call(call, 0, bad[i], 0, ALL, 0).error != 0 || call > 7;
        }
    }
    sbi_call(3, 0, 0, 0, 0, 0);
    return ok && (read_csr("sip") & SIP_SSI) == 0 && legacy_translated();
}

bool case_unknown(void)
{
    uint64_t seed = 1;
    bool ok = true;

    for (unsigned i = 0; i < 20000; i++) {
        seed = seed * 6364136223846793005 + 1442695040888963407;
        // Above every extension that exists, and vendor and experimental ones.
        ok &= sbi_call((seed >> 33) | 0x80000000, seed & 0xff, seed, ~seed, 0, 0).error == NOT_SUPPORTED;
    }
    return ok;
}
