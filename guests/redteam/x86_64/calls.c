// SPDX-License-Identifier: Apache-2.0
//
// MSRs, control registers, instructions, programs: what the processor or the hypervisor must refuse.
#include "guests/redteam/x86_64/x86team.h"

#define MSR_APIC_BASE 0x1Bu
#define MSR_TSC 0x10u
#define MSR_DEADLINE 0x6E0u
#define MSR_EFER 0xC0000080u
#define EFER_SCE 0x001u
#define EFER_LME 0x100u
#define EFER_NXE 0x800u
#define EFER_SVME 0x1000u
#define CALL_FLOOD 20000u
#define CR4_OSXSAVE (UINT64_C(1) << 18)
#define CPUID1_ECX_XSAVE (1u << 26)

bool expect_trap(const char *what, int vector)
{
    if (trap_vector() != vector) {
        print("  %s: vector %d instead of %d\n", what, trap_vector(), vector);
    }
    return trap_vector() == vector;
}

bool try_rdmsr(uint32_t msr, uint64_t *out)
{
    uint32_t low = 0, high = 0;

    last_trap.taken = false;
    __asm__ volatile(TRY "rdmsr" TRIED : "+a"(low), "+d"(high) : "c"(msr) : TRY_CLOBBERS);
    *out = (uint64_t)high << 32 | low;
    return !last_trap.taken;
}

bool try_wrmsr(uint32_t msr, uint64_t v)
{
    last_trap.taken = false;
    __asm__ volatile(TRY "wrmsr" TRIED
                     :
                     : "c"(msr), "a"((uint32_t)v), "d"((uint32_t)(v >> 32))
                     : TRY_CLOBBERS);
    return !last_trap.taken;
}

// ---- MSRs ----

static const struct {
    uint32_t first, count;
} msr_ranges[] = {
    {0, 0x2000},          {0x40000000, 0x200},  {0x4B564D00, 0x10}, {0x80000000, 0x10},
    {0xC0000000, 0x2000}, {0xC0010000, 0x2000}, {0xFFFFFFF0, 0x10},
};

// Those of virtualisation, of the machine's firmware, of its performance counters and of speculation.
static const struct {
    uint32_t first, count;
} msr_absent[] = {
    {0x3A, 1},  {0x48, 2},       {0x79, 1},       {0x9B, 1},       {0x9E, 1},        {0xC1, 8},
    {0x122, 1}, {0x1D9, 1},      {0x345, 1},      {0x38D, 3},      {0x480, 0x12},    {0x570, 4},
    {0xDA0, 1}, {0xC0010000, 8}, {0xC0010018, 3}, {0xC0010058, 1}, {0xC0010111, 10}, {0xC0010200, 12},
};

static bool is_absent(uint32_t msr)
{
    for (unsigned i = 0; i < COUNT(msr_absent); i++) {
        if (msr - msr_absent[i].first < msr_absent[i].count) {
            return true;
        }
    }
    return false;
}

bool case_msr_read(void)
{
    unsigned done = 0, refused = 0, wrong = 0;
    uint64_t v;

    for (unsigned r = 0; r < COUNT(msr_ranges); r++) {
        for (uint32_t i = 0; i < msr_ranges[r].count; i++) {
            uint32_t msr = msr_ranges[r].first + i;
            bool ok = try_rdmsr(msr, &v);

            done += ok;
            refused += !ok;
            if ((ok && is_absent(msr)) || (!ok && trap_vector() != VECTOR_GP)) {
                print("  MSR 0x%x: vector %d\n", msr, trap_vector());
                wrong++;
            }
        }
    }
    print("  %u done, %u refused\n", done, refused);
    return done > 20 && refused > 20000 && wrong == 0;
}

// Without those this guest could not go on.
static bool is_ours(uint32_t msr)
{
    return msr == MSR_TSC || msr == MSR_APIC_BASE || msr == MSR_DEADLINE || msr == MSR_EFER ||
           (msr >= 0x800 && msr < 0xC00);
}

bool case_msr_write(void)
{
    static const uint64_t values[] = {0, UINT64_MAX, 0x5555555555555555, 0x8000000000000000, 0xFFFFFFFF};
    unsigned done = 0, refused = 0, wrong = 0;
    uint64_t old;

    for (unsigned r = 0; r < COUNT(msr_ranges); r++) {
        for (uint32_t i = 0; i < msr_ranges[r].count; i++) {
            uint32_t msr = msr_ranges[r].first + i;
            bool readable = !is_ours(msr) && try_rdmsr(msr, &old);

            for (unsigned n = 0; n < COUNT(values) && (readable || (n == 0 && is_absent(msr))); n++) {
                bool ok = try_wrmsr(msr, values[n]);
                done += ok;
                refused += !ok;
                wrong += (ok && is_absent(msr)) || (!ok && trap_vector() != VECTOR_GP);
            }
            if (readable) {
                try_wrmsr(msr, old);
            }
        }
    }
    print("  %u done, %u refused\n", done, refused);
    return done > 20 && refused > 20 && wrong == 0;
}

// ---- control registers ----

// CR0 and CR4 are the processor's to check.
bool case_control(void)
{
    static const uint64_t bad_efer[] = {EFER_SVME, 2, UINT64_C(1) << 63, UINT64_MAX};
    static const uint64_t bad_xcr0[] = {0, 2, 4, 6, 5, 9, 0x20, 0xC0, UINT64_C(1) << 62, UINT64_MAX};
    uint64_t efer = rdmsr(MSR_EFER);
    bool ok = true;

    for (unsigned i = 0; i < COUNT(bad_efer); i++) {
        try_wrmsr(MSR_EFER, efer | bad_efer[i]);
        ok &= expect_trap("EFER", VECTOR_GP);
    }
    try_wrmsr(MSR_EFER, efer & ~(uint64_t)EFER_LME);
    ok &= expect_trap("EFER without LME", VECTOR_GP) && rdmsr(MSR_EFER) == efer;
    try_wrmsr(MSR_EFER, efer | EFER_SCE | EFER_NXE);
    ok &= expect_trap("EFER that is good", NO_TRAP);
    wrmsr(MSR_EFER, efer);
    if (!(cpuid(1, 0).ecx & CPUID1_ECX_XSAVE)) {
        return ok;
    }
    __asm__ volatile("mov %%cr4, %%rax\n or %0, %%rax\n mov %%rax, %%cr4" : : "i"(CR4_OSXSAVE) : "rax");
    for (unsigned i = 0; i < COUNT(bad_xcr0); i++) {
        last_trap.taken = false;
        __asm__ volatile(TRY "xsetbv" TRIED
                         :
                         : "c"(0), "a"((uint32_t)bad_xcr0[i]), "d"((uint32_t)(bad_xcr0[i] >> 32))
                         : TRY_CLOBBERS);
        ok &= expect_trap("XCR0", VECTOR_GP);
    }
    last_trap.taken = false;
    __asm__ volatile(TRY "xsetbv" TRIED : : "c"(1), "a"(3), "d"(0) : TRY_CLOBBERS);
    return ok & expect_trap("XCR1", VECTOR_GP);
}

// ---- instructions ----

#define VMCALL 0xC1 // the last bytes of both vendors' hypercalls
#define VMMCALL 0xD9

bool case_forbidden(void)
{
    static const struct {
        const char *name;
        uint8_t code[5];
        bool gp; // #GP will do
    } forbidden[] = {
        {"vmrun", {0x0F, 0x01, 0xD8}, 0},
        {"vmload", {0x0F, 0x01, 0xDA}, 0},
        {"vmsave", {0x0F, 0x01, 0xDB}, 0},
        {"stgi", {0x0F, 0x01, 0xDC}, 0},
        {"clgi", {0x0F, 0x01, 0xDD}, 0},
        {"skinit", {0x0F, 0x01, 0xDE}, 0},
        {"invlpga", {0x0F, 0x01, 0xDF}, 0},
        {"vmcall", {0x0F, 0x01, VMCALL}, 0},
        {"vmmcall", {0x0F, 0x01, VMMCALL}, 0},
        {"vmlaunch", {0x0F, 0x01, 0xC2}, 0},
        {"vmxon", {0xF3, 0x0F, 0xC7, 0x30}, 0},
        {"vmptrld", {0x0F, 0xC7, 0x30}, 0},
        {"invept", {0x66, 0x0F, 0x38, 0x80, 0x08}, 0},
        {"monitor", {0x0F, 0x01, 0xC8}, 0},
        {"mwait", {0x0F, 0x01, 0xC9}, 0},
        {"rsm", {0x0F, 0xAA}, 0},
        {"rdpmc", {0x0F, 0x33}, 1},
        {"getsec", {0x0F, 0x37}, 0},
        {"ud2", {0x0F, 0x0B}, 0},
        {"encls", {0x0F, 0x01, 0xCF}, 0},
    };
    static uint8_t code[16];
    uint8_t own = cpu_is_intel() ? VMCALL : VMMCALL;
    bool ok = true;

    for (unsigned i = 0; i < COUNT(forbidden); i++) {
        if (forbidden[i].code[1] == 0x01 && forbidden[i].code[2] == own) {
            continue;
        }
        for (unsigned n = 0; n < sizeof(code); n++) {
            ((volatile uint8_t *)code)[n] = n < 5 && forbidden[i].code[n] ? forbidden[i].code[n] : 0x90;
        }
        ((volatile uint8_t *)code)[15] = 0xC3;
        last_trap.taken = false;
        // The exception leaves the return address of the call on the stack.
        __asm__ volatile(TRY "mov %%rsp, %%rbx\n\tcall *%0" TRIED "mov %%rbx, %%rsp"
                         :
                         : "r"(code), "a"(UINT64_C(0x1000)), "c"(UINT64_C(0)), "d"(UINT64_C(0))
                         : TRY_CLOBBERS, "rbx");
        if (!(forbidden[i].gp && trap_vector() == VECTOR_GP)) {
            ok &= expect_trap(forbidden[i].name, VECTOR_UD);
        }
    }
    return ok;
}

bool case_hypercall_flood(void)
{
    uint64_t start = time_now();

    for (unsigned i = 0; i < CALL_FLOOD; i++) {
        if ((int64_t)firmware_call(i, i, i, i) >= 0) {
            return false;
        }
    }
    print("  %u calls in %lu ticks of %lu Hz\n", CALL_FLOOD, time_now() - start, time_hz());
    return true;
}

// ---- debug registers ----

static void dr_write(const uint64_t v[4])
{
    __asm__ volatile("mov %0, %%dr0\n mov %1, %%dr1\n mov %2, %%dr2\n mov %3, %%dr3"
                     :
                     : "r"(v[0]), "r"(v[1]), "r"(v[2]), "r"(v[3]));
}

static bool dr_holds(const uint64_t v[4])
{
    uint64_t r[4];

    __asm__ volatile("mov %%dr0, %0\n mov %%dr1, %1\n mov %%dr2, %2\n mov %%dr3, %3"
                     : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]));
    return r[0] == v[0] && r[1] == v[1] && r[2] == v[2] && r[3] == v[3];
}

// Goes to the guest, once. (Watched words are left out: TCG mixes up the guest's and the host's.)
static bool single_step(void)
{
    uint64_t dr6;

    gate_set(VECTOR_DB, count_debug, false);
    debug_count = 0;
    __asm__ volatile("mov %0, %%dr6" : : "r"(UINT64_C(0xFFFF0FF0)));
    __asm__ volatile("pushf\n orq $0x100, (%%rsp)\n popf\n nop\n nop" : : : "memory", "cc");
    __asm__ volatile("mov %%dr6, %0" : "=r"(dr6));
    print("  %lu debug exceptions, DR6 0x%lx\n", debug_count, dr6);
    return debug_count == 1 && (dr6 & 0x400F) == 0x4000;
}

bool case_debug(void)
{
    const uint64_t mine[4] = {time_now(), ~time_now(), UINT64_MAX, time_now() * 3};
    const uint64_t none[4] = {0};
    bool ok = dr_holds(none);

    dr_write(mine);
    timer_start(time_hz() / 1000);
    while (timer_periods() < 200) {
        irq_wait();
        ok &= dr_holds(mine);
    }
    apic_write(APIC_LVT_TIMER, 0x10000);
    return ok & single_step();
}

// ---- programs ----

extern uint64_t pml4[6 * 512];
static uint64_t gdt[7], tss[13];
static uint8_t kernel_stack[4096] __attribute__((aligned(16)));

static void user_setup(void)
{
    uint64_t at = (uint64_t)(uintptr_t)tss;
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) pointer = {sizeof(gdt) - 1, (uint64_t)(uintptr_t)gdt};
    uint64_t rsp0 = (uint64_t)(uintptr_t)(kernel_stack + sizeof(kernel_stack));

    tss[0] = rsp0 << 32; // RSP0 is at byte 4
    tss[1] = rsp0 >> 32;
    tss[12] = UINT64_C(0xFFFF) << 48; // no bitmap of ports
    gdt[1] = 0x00AF9B000000FFFF;
    gdt[2] = 0x00CF93000000FFFF;
    gdt[3] = 0x00CFF3000000FFFF;
    gdt[4] = 0x00AFFB000000FFFF;
    gdt[5] = (sizeof(tss) - 1) | (at & 0xFFFFFF) << 16 | UINT64_C(0x89) << 40 | (at >> 24 & 0xFF) << 56;
    gdt[6] = at >> 32;
    for (unsigned i = 0; i < 6 * 512; i++) {
        pml4[i] |= pml4[i] ? 4 : 0; // a user's, all of it ...
    }
    pml4[2 * 512 + 3] &= ~UINT64_C(4); // ... but for the 2 MiB from 6 MiB on
    __asm__ volatile("mov %%cr3, %%rax\n mov %%rax, %%cr3\n lgdt %0\n ltr %w1"
                     :
                     : "m"(pointer), "r"(5 * 8)
                     : "rax", "memory");
}

// What ends a program: -1 nothing, -2 and -3 the other vendor's CPU.
static int user_vector(int given)
{
    if (given >= NO_TRAP) {
        return given;
    }
    return cpu_is_intel() == (given == -3) ? NO_TRAP : VECTOR_UD;
}

bool case_user(void)
{
    bool ok = true;

    user_setup();
    gate_set(VECTOR_USER_END, user_end, true);
    __asm__ volatile("mov %%cr4, %%rax\n or %0, %%rax\n mov %%rax, %%cr4" : : "i"(CR4_OSXSAVE) : "rax");
    for (uint64_t i = 0; i < user_code_count; i++) {
        last_trap.taken = false;
        user_run(user_codes[i].code);
        trap_resume = 0;
        ok &= expect_trap(user_codes[i].name, user_vector((int)user_codes[i].vector));
    }
    return ok;
}

// ---- the end ----

bool case_lost(void)
{
    static const uint8_t none[10];

    __asm__ volatile("lidt %0\n ud2" : : "m"(none));
    return false;
}

// Where the processor takes it: it is not entered again.
bool case_entry(void)
{
    __asm__ volatile("mov %%cr0, %%rax\n btr $0, %%rax\n mov %%rax, %%cr0" : : : "rax", "memory");
    return false;
}

bool case_walk(void)
{
    pml4[2] = LAPIC_BASE | 7;
    return *(volatile uint8_t *)(UINT64_C(2) << 39) == 0;
}

// RSP in device registers, and a step: what is then at RIP is not to blame, and would keep an emulator busy for long.
bool case_stack(void)
{
    __asm__ volatile(
        "pushf\n orq $0x100, (%%rsp)\n mov %0, %%rax\n mov $-1, %%rcx\n mov $0x100000, %%esi\n popf\n"
        "mov %%rax, %%rsp\n rep lodsb\n jmp ."
        :
        : "i"(HPET + 0x800)
        : "rax", "rcx", "rsi", "memory");
    return false;
}
