// SPDX-License-Identifier: Apache-2.0
//
// Attacks by access: what is not there, registers in every form, branches and page-table walks into nothing.
#include "guests/lib/aarch64/cpu.h"
#include "guests/redteam/redteam.h"

#define INSN_RET 0xd65f03c0u
#define ESR_EC(esr) ((esr) >> 26 & 0x3f)
#define EC_INSN_ABORT 0x21
#define EC_DATA_ABORT 0x25
#define CPACR_FPEN (3u << 20)

struct form {
    uint32_t word;
    char text[44];
};
extern const struct form forms_begin[], forms_end[];
uint64_t run_code(const uint32_t *code, uint64_t address, uint64_t value);

uint64_t run_word(uint32_t word, uint64_t address, uint64_t value)
{
    static uint32_t code[4] __attribute__((aligned(64)));
    uint64_t result;

    *(volatile uint32_t *)&code[0] = word;
    *(volatile uint32_t *)&code[1] = INSN_RET;
    __asm__ volatile("dc cvau, %0\n dsb ish\n ic iallu\n dsb ish\n isb" : : "r"(code) : "memory");
    write_sysreg("cpacr_el1", CPACR_FPEN);
    __asm__ volatile("isb");
    last_trap.taken = false;
    trap_resume = 0;
    trap_expected = true;
    result = run_code(code, address, value);
    trap_expected = false;
    return result;
}

static bool in_ram(uint64_t address)
{
    return address >= board.ram_base && address - board.ram_base < board.ram_size;
}

// Every plain load and store of the table at every address; all must end in an exception.
bool case_unmapped(void)
{
    const uint64_t places[] = {
        0x30000000,
        0xf0000000,
        board.ram_base - 8,
        board.ram_base + board.ram_size,
        board.uart + 0x800000,
        0x3ffffff8,
        0x4010000000,
        0xfffffffff0,
        0xfffffffffff0,
        0xfffffffffffffff0,
        0xffff000000000000,
        0x8000000000,
    };
    unsigned traps = 0, values = 0;

    for (unsigned p = 0; p < sizeof(places) / sizeof(places[0]); p++) {
        if (in_ram(places[p]) || places[p] == 0) {
            continue;
        }
        for (const struct form *f = forms_begin; f < forms_begin + 8; f++) {
            uint64_t got = run_word(f->word, places[p], 0x41);
            if (last_trap.taken) {
                traps++;
            } else {
                values++;
                print("  %s at 0x%lx: no exception, x2 = 0x%lx\n", f->text, places[p], got);
            }
        }
    }
    print("  %u exceptions, %u answers\n", traps, values);
    return traps > 0 && values == 0;
}

bool case_registers(void)
{
    const uint64_t places[] = {
        board.uart + 0x18,
        board.uart + 0x34,
        board.uart + 0xfe0,
        board.uart + 0xffc,
        board.gicd + 0x4,
        board.gicd + 0x440,
        board.gicd + (board.gic_version == 3 ? 0xffd0 : 0xfd0),
        board.gicr + 0x8,
        board.gicr + 0x10c00,
        board.rtc,
        board.rtc + 0xfe0,
        board.virtio,
        board.virtio + 0x100,
        board.virtio + 0x1fc,
    };
    unsigned done = 0, trapped = 0;

    for (unsigned p = 0; p < sizeof(places) / sizeof(places[0]); p++) {
        if (places[p] < 0x10000) {
            continue; // a device that this board does not have
        }
        for (const struct form *f = forms_begin; f < forms_end; f++) {
            for (unsigned shift = 0; shift < 4; shift++) {
                run_word(f->word, places[p] + shift, 0);
                done++;
                trapped += last_trap.taken;
            }
        }
    }
    print("  %u accesses, %u of them refused\n", done, trapped);
    uart_setup();
    return done > trapped;
}

static bool branch_to(uint64_t target)
{
    last_trap.taken = false;
    trap_expected = true;
    __asm__ volatile("adr x9, 1f\n"
                     "str x9, [%1]\n"
                     "br %0\n"
                     "1:\n"
                     :
                     : "r"(target), "r"(&trap_resume)
                     : "x9", "x10", "x11", "x30", "memory");
    trap_expected = false;
    trap_resume = 0;
    print("  branch to 0x%lx: ESR 0x%08lx\n", target, last_trap.syndrome);
    return last_trap.taken;
}

bool case_wild(void)
{
    const uint64_t targets[] = {0x30000000,   0xf0000000,         board.uart, board.gicd,
                                0x4010000000, 0xfffffffffffffff0, 2};
    bool ok = true;

    for (unsigned i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        ok &= in_ram(targets[i]) || branch_to(targets[i]);
    }
    return ok;
}

// ---- stage 1 on: tables that lead the walker astray ----

#define DESC_BLOCK 1u
#define DESC_TABLE 3u
#define DESC_AF (1u << 10)
#define DESC_NORMAL (1u << 2)                         // MAIR attribute 1
#define MAIR_VALUE 0x4400u                            // 0: device-nGnRnE, 1: normal non-cacheable
#define TCR_VALUE ((uint64_t)2 << 32 | 1u << 23 | 25) // 39-bit, TTBR0 only, 40-bit output
#define SCTLR_M 1u
#define GIB_SHIFT 30

static uint64_t table[512] __attribute__((aligned(4096)));

static void set_mmu(bool on)
{
    uint64_t sctlr = read_sysreg("sctlr_el1");

    write_sysreg("mair_el1", MAIR_VALUE);
    write_sysreg("tcr_el1", TCR_VALUE);
    write_sysreg("ttbr0_el1", (uintptr_t)table);
    __asm__ volatile("dsb sy\n isb\n tlbi vmalle1\n dsb sy\n isb" : : : "memory");
    write_sysreg("sctlr_el1", on ? sctlr | SCTLR_M : sctlr & ~(uint64_t)SCTLR_M);
    __asm__ volatile("isb" : : : "memory");
}

bool case_walk(void)
{
    const uint64_t strange[] = {
        0x30000000 | DESC_TABLE,                                           // a table where nothing lives
        (board.uart & ~0xffful) | DESC_TABLE,                              // ... in registers
        0x8000000000ul | DESC_TABLE,                                       // ... beyond any RAM
        (uintptr_t)table | DESC_TABLE,                                     // ... that leads to itself
        0xf000000000ul | DESC_BLOCK | DESC_AF | DESC_NORMAL,               // memory that is not there
        (board.uart & ~0x3ffffffful) | DESC_BLOCK | DESC_AF | DESC_NORMAL, // registers as normal memory
    };
    unsigned trapped = 0, count = sizeof(strange) / sizeof(strange[0]);

    for (uint64_t i = 0; i < 512; i++) {
        bool ram = (i << GIB_SHIFT) == (board.ram_base >> GIB_SHIFT << GIB_SHIFT);
        table[i] = i < 256 ? i << GIB_SHIFT | DESC_BLOCK | DESC_AF | (ram ? DESC_NORMAL : 0) : 0;
    }
    for (unsigned i = 0; i < count; i++) {
        table[300 + i] = strange[i];
    }
    set_mmu(true);
    for (unsigned i = 0; i < count; i++) {
        uint64_t offset = i == count - 1 ? (board.uart & 0x3fffffff) + 0x18 : 0x1000;
        uint64_t va = (300ul + i) << GIB_SHIFT;
        for (const struct form *f = forms_begin; f < forms_begin + 8; f++) {
            run_word(f->word, va + offset, 0);
            trapped += last_trap.taken;
        }
        print("  descriptor 0x%lx: ESR 0x%08lx\n", strange[i], last_trap.syndrome);
    }
    set_mmu(false);
    return trapped > 0;
}

// Nothing can be said any more afterwards: the vectors themselves abort, for ever.
bool case_lost(void)
{
    write_sysreg("vbar_el1", 0x30000000);
    __asm__ volatile("isb\n .inst 0\n");
    return false;
}
