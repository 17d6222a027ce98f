// SPDX-License-Identifier: Apache-2.0
//
// Every CSR number, instructions of other privileges, and accesses to nothing, run from a patched word.
#include "guests/lib/riscv64/cpu.h"
#include "guests/redteam/redteam.h"

#define INSN_CSRRS_A0 0x00002573u // csrrs a0, csr, x0
#define INSN_CSRRW_A0 0x00051573u // csrrw a0, csr, a0
#define INSN_RET 0x00008067u
#define CAUSE_ILLEGAL 2
#define CAUSE_LOAD_ACCESS 5
#define CAUSE_STORE_ACCESS 7

static uint32_t code[2] __attribute__((aligned(8)));

// Runs one word with a0 = `value`; what it left in a0. last_trap tells whether it trapped.
static uint64_t run_at(uint32_t word, uint64_t value)
{
    uint64_t (*run)(uint64_t) = (uint64_t(*)(uint64_t))(uintptr_t)code;

    code[0] = word;
    code[1] = INSN_RET;
    __asm__ volatile("fence.i" : : : "memory");
    last_trap.taken = false;
    return run(value);
}

struct tally {
    unsigned done, illegal, other;
};

static void count(struct tally *t, uint32_t word)
{
    if (!last_trap.taken) {
        t->done++;
    } else if (last_trap.syndrome == CAUSE_ILLEGAL) {
        t->illegal++;
    } else {
        t->other++;
        print("  0x%08x: scause %lu\n", word, last_trap.syndrome);
    }
}

// Hypervisor and machine CSRs must not be there: bits 9:8 of the number are the privilege.
bool case_csr_read(void)
{
    struct tally t = {0};
    unsigned leaks = 0;

    for (uint32_t csr = 0; csr < 4096; csr++) {
        run_at(INSN_CSRRS_A0 | csr << 20, 0);
        count(&t, csr);
        if (!last_trap.taken && (csr >> 8 & 3) >= 2) {
            print("  CSR 0x%03x can be read\n", csr);
            leaks++;
        }
    }
    print("  %u done, %u illegal, %u other exceptions\n", t.done, t.illegal, t.other);
    return t.done > 10 && t.other == 0 && leaks == 0;
}

// CSRs without which this guest could not go on.
static bool is_ours(uint32_t csr)
{
    return csr == 0x100 || csr == 0x104 || csr == 0x105 || csr == 0x144 || csr == 0x180 || csr == 0x14d;
}

bool case_csr_write(void)
{
    static const uint64_t values[] = {0, UINT64_MAX, 0x5555555555555555};
    struct tally t = {0};

    for (unsigned v = 0; v < 3; v++) {
        for (uint32_t csr = 0; csr < 4096; csr++) {
            if (!is_ours(csr)) {
                run_at(INSN_CSRRW_A0 | csr << 20, values[v]);
                count(&t, csr);
            }
        }
    }
    print("  %u done, %u illegal, %u other exceptions\n", t.done, t.illegal, t.other);
    return t.done > 10 && t.other == 0;
}

bool case_instructions(void)
{
    static const struct {
        uint32_t word;
        const char *name;
    } forbidden[] = {
        {0x60054573, "hlv.b"}, {0x64354573, "hlvx.hu"},     {0x6c054573, "hlv.d"},
        {0x62b54073, "hsv.b"}, {0x22000073, "hfence.vvma"}, {0x62000073, "hfence.gvma"},
        {0x30200073, "mret"},  {0x00200073, "uret"},        {0x7b200073, "dret"},
        {0x00000000, "zero"},  {0xffffffff, "ones"},        {0x02000007, "vle8.v"},
    };
    bool ok = true;

    for (unsigned i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++) {
        run_at(forbidden[i].word, (uint64_t)(uintptr_t)code);
        if (!last_trap.taken || last_trap.syndrome != CAUSE_ILLEGAL) {
            print("  %s: %s, scause %lu\n", forbidden[i].name, last_trap.taken ? "trapped" : "done",
                  last_trap.syndrome);
            ok = false;
        }
    }
    run_at(0x12000073, 0); // sfence.vma
    return ok && !last_trap.taken;
}

bool case_memory(void)
{
    static const struct {
        uint32_t word;
        uint64_t address, cause;
        const char *name;
    } accesses[] = {
        {0x00053503, 0x1000, CAUSE_LOAD_ACCESS, "ld of nothing"},
        {0x00a53023, 0x1000, CAUSE_STORE_ACCESS, "sd to nothing"},
        {0x00a5352f, 0x1000, CAUSE_STORE_ACCESS, "amoadd.d of nothing"},
        {0x1005352f, 0x1000, CAUSE_LOAD_ACCESS, "lr.d of nothing"},
        {0x00a5352f, 0x10000000, CAUSE_STORE_ACCESS, "amoadd.d of the UART"},
        {0x1005352f, 0x10000000, CAUSE_LOAD_ACCESS, "lr.d of the UART"},
        {0x00053503, 0x0c000ffd, CAUSE_LOAD_ACCESS, "ld across two pages of the PLIC"},
        {0x00053503, 0x8000000000000000, 0, "ld beyond the address space"},
    };
    bool ok = true;

    for (unsigned i = 0; i < sizeof(accesses) / sizeof(accesses[0]); i++) {
        run_at(accesses[i].word, accesses[i].address);
        if (!last_trap.taken || (accesses[i].cause && last_trap.syndrome != accesses[i].cause)) {
            print("  %s: %s, scause %lu\n", accesses[i].name, last_trap.taken ? "trapped" : "done",
                  last_trap.syndrome);
            ok = false;
        }
    }
    return ok;
}

#define SSTATUS_FS (UINT64_C(3) << 13)
#define EXT_TIME 0x54494D45
#define SIE_TIMER 0x20

// FP registers keep their values across a sleep in which others, who have theirs, use the core.
bool case_fp(void)
{
    uint64_t seed = time_now() | 1, wrong = 0;

    set_csr("sstatus", SSTATUS_FS);
    for (uint64_t i = 0; i < 300; i++) {
        uint64_t first, last;

        __asm__ volatile(".option push\n\t.option arch, +d\n\t"
                         "fmv.d.x f0, %0\n\tfmv.d.x f31, %1\n\t.option pop"
                         :
                         : "r"(seed + i), "r"(seed ^ i));
        sbi_call(EXT_TIME, 0, time_now() + board.timebase / 2000, 0, 0, 0);
        set_csr("sie", SIE_TIMER);
        __asm__ volatile("wfi" : : : "memory");
        clear_csr("sie", SIE_TIMER);
        __asm__ volatile(".option push\n\t.option arch, +d\n\t"
                         "fmv.x.d %0, f0\n\tfmv.x.d %1, f31\n\t.option pop"
                         : "=r"(first), "=r"(last));
        wrong += first != seed + i || last != (seed ^ i);
    }
    sbi_call(EXT_TIME, 0, UINT64_MAX, 0, 0, 0);
    clear_csr("sstatus", SSTATUS_FS);
    return wrong == 0;
}
