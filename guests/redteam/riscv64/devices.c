// SPDX-License-Identifier: Apache-2.0
//
// Attacks by access, by page tables and through the PLIC.
#include "guests/lib/riscv64/cpu.h"
#include "guests/redteam/redteam.h"

#define PLIC_SIZE 0x600000u
#define PLIC_ENABLE 0x2000u
#define PLIC_ENABLE_STRIDE 0x80u
#define PLIC_THRESHOLD 0x200000u
#define PLIC_CONTEXT_STRIDE 0x1000u
#define PLIC_WRITES 20000u
#define PLIC_CONTEXTS 512u
#define IDLE_ROUNDS 20000u
#define SIE_STIE 0x20u
#define INSN_RET 0x00008067u
#define SATP_SV39 8ul

static uint32_t code[2] __attribute__((aligned(8)));

// Runs one word with a0 = `address` and a1 = `value`.
static void run_pair(uint32_t word, uint64_t address, uint64_t value)
{
    void (*run)(uint64_t, uint64_t) = (void (*)(uint64_t, uint64_t))(uintptr_t)code;

    code[0] = word;
    code[1] = INSN_RET;
    __asm__ volatile("fence.i" : : : "memory");
    last_trap.taken = false;
    run(address, value);
}

bool case_registers(void)
{
    // l{b,h,w,d,bu,hu,wu} a1; s{b,h,w,d} a1; lr, sc, amoswap, amoadd of both widths; c.lw, c.ld, c.sw, c.sd beside a nop
    static const uint32_t forms[] = {
        0x00050583, 0x00051583, 0x00052583, 0x00053583, 0x00054583, 0x00055583, 0x00056583, 0x00b50023,
        0x00b51023, 0x00b52023, 0x00b53023, 0x100525af, 0x100535af, 0x18b5252f, 0x18b5352f, 0x08b525af,
        0x08b535af, 0x00b525af, 0x00b535af, 0x0001410c, 0x0001610c, 0x0001c10c, 0x0001e10c,
    };
    const uint64_t places[] = {
        board.uart + 1,
        board.uart + 5,
        board.uart + 7,
        board.plic + 0x28,
        board.plic + 0x1000,
        board.plic + PLIC_ENABLE,
        board.plic + PLIC_THRESHOLD,
        board.plic + PLIC_SIZE - 8,
        board.rtc,
        board.rtc + 0x18,
        board.virtio,
        board.virtio + 0x100,
        board.virtio + 0xff8,
    };
    unsigned done = 0, trapped = 0;

    for (unsigned p = 0; p < sizeof(places) / sizeof(places[0]); p++) {
        for (unsigned f = 0; f < sizeof(forms) / sizeof(forms[0]); f++) {
            for (unsigned shift = 0; shift < 4; shift++) {
                run_pair(forms[f], places[p] + shift, 0);
                done++;
                trapped += last_trap.taken;
            }
        }
    }
    print("  %u accesses, %u of them refused\n", done, trapped);
    uart_setup();
    return done > trapped && trapped > 0;
}

static bool jump_to(uint64_t target)
{
    last_trap.taken = false;
    __asm__ volatile("lla t0, 1f\n\t"
                     "sd t0, (%1)\n\t"
                     "jr %0\n"
                     "1:"
                     :
                     : "r"(target), "r"(&trap_resume)
                     : "t0", "ra", "memory");
    trap_resume = 0;
    print("  jump to 0x%lx: scause %lu\n", target, last_trap.syndrome);
    return last_trap.taken;
}

bool case_wild(void)
{
    const uint64_t targets[] = {0x30000000,        board.uart, board.plic, board.ram_base + board.ram_size,
                                0x4010000000,      0x1000,     2,          0x8000000000000000,
                                0xfffffffffffffff0};
    bool ok = true;

    for (unsigned i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        ok &= jump_to(targets[i]);
    }
    return ok;
}

static uint64_t table[512] __attribute__((aligned(4096)));

// Sv39 with gigabytes as they are, and strange entries behind them.
bool case_walk(void)
{
    const uint64_t leaf = 0xcf, branch = 1; // V R W X A D; V
    const uint64_t strange[] = {
        0x30000000 >> 2 | branch,        // a table where nothing lives
        board.uart >> 12 << 10 | branch, // ... in registers
        0x8000000000ul >> 2 | branch,    // ... beyond any RAM
        (uintptr_t)table >> 2 | branch,  // ... that leads to itself
        0xf000000000ul >> 2 | leaf,      // memory that is not there
        0x3fffffffffful << 10 | leaf,    // ... beyond every address
        UINT64_MAX,                      // reserved bits
    };
    unsigned trapped = 0, count = sizeof(strange) / sizeof(strange[0]);

    for (uint64_t i = 0; i < 512; i++) {
        table[i] = i < 4 ? i << 28 | leaf : 0;
    }
    for (unsigned i = 0; i < count; i++) {
        table[100 + i] = strange[i];
    }
    __asm__ volatile("sfence.vma" : : : "memory");
    write_csr("satp", SATP_SV39 << 60 | (uintptr_t)table >> 12);
    __asm__ volatile("sfence.vma" : : : "memory");
    for (unsigned i = 0; i < count; i++) {
        uint64_t va = (100ul + i) << 30 | 0x1000;
        unsigned before = trapped;
        run_pair(0x00053583, va, 0); // ld
        trapped += last_trap.taken;
        run_pair(0x00b53023, va, 0); // sd
        trapped += last_trap.taken;
        print("  entry 0x%lx: %u traps, scause %lu\n", strange[i], trapped - before, last_trap.syndrome);
    }
    write_csr("satp", 0);
    __asm__ volatile("sfence.vma" : : : "memory");
    return trapped >= 2 * (count - 1); // registers taken for a table may hold anything
}

bool case_idle(void)
{
    uint64_t start = time_now();

    irq_set_mask(true);
    sbi_call(0x54494D45, 0, 0, 0, 0, 0); // the deadline is 0
    set_csr("sie", SIE_STIE);
    for (unsigned i = 0; i < IDLE_ROUNDS; i++) {
        __asm__ volatile("wfi" : : : "memory");
    }
    sbi_call(0x54494D45, 0, UINT64_MAX, 0, 0, 0);
    print("  %u rounds in %lu ticks of %lu Hz\n", IDLE_ROUNDS, time_now() - start, time_hz());
    return true;
}

// Enables, thresholds and claims of every context that could be; completion of what was never claimed.
bool case_plic_foreign(void)
{
    unsigned stuck = 0;

    for (uint64_t c = 0; c < PLIC_CONTEXTS; c++) {
        uint64_t claim = board.plic + PLIC_THRESHOLD + c * PLIC_CONTEXT_STRIDE + 4;

        for (uint64_t word = 0; word < 32; word++) {
            run_pair(0x00b52023, board.plic + PLIC_ENABLE + c * PLIC_ENABLE_STRIDE + 4 * word, UINT64_MAX);
        }
        for (uint64_t source = 0; source < 8; source++) {
            run_pair(0x00b52023, claim, source * 331);
        }
        run_pair(0x00b52023, claim, UINT64_MAX);
        run_pair(0x00b52023, claim - 4, UINT64_MAX);
        for (unsigned n = 0; n < 1100 && mmio_read32(claim) != 0 && !last_trap.taken; n++) {
            stuck = n;
        }
        for (uint64_t word = 0; word < 32; word++) {
            run_pair(0x00b52023, board.plic + PLIC_ENABLE + c * PLIC_ENABLE_STRIDE + 4 * word, 0);
        }
    }
    print("  at most %u claims in a row\n", stuck);
    irq_setup();
    irq_enable_line(board.uart_irq);
    return stuck < 1024;
}

bool case_plic(void)
{
    for (unsigned i = 0; i < PLIC_WRITES; i++) {
        uint64_t r = random_next();
        uint64_t window = r & 2 ? 0x4000 : PLIC_SIZE;

        run_pair(r & 1 ? 0x00b52023 : 0x00052583, board.plic + (r >> 8) % window / 4 * 4, r >> 32);
    }
    print("  still here\n");
    return true;
}

// Nothing can be said any more afterwards: the vector itself faults, for ever.
bool case_lost(void)
{
    write_csr("stvec", 0x30000000);
    __asm__ volatile(".4byte 0");
    return false;
}
