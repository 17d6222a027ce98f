// SPDX-License-Identifier: Apache-2.0
//
// Instructions carried out on a fake bus: memory, a log of its accesses, ports.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86_64/virt/x86_alu.h"
#include "arch/x86_64/virt/x86_emulate.h"

#define BASE 0x10000u // linear address of the memory
#define SIZE 0x1000u
#define GS_BASE 0x8000u
#define RIP (BASE + 0x800u)
#define NO_SUCH_PLACE UINT64_C(0x800000000000)

enum {
    RAX,
    RCX,
    RDX,
    RBX,
    RSP,
    RBP,
    RSI,
    RDI
};

struct machine {
    struct x86_emulation e;
    uint64_t r[16];
    uint8_t memory[SIZE];
    unsigned reads, writes;
    unsigned last_size;
    uint64_t segment[6];
    uint64_t xmm[16][2];
    uint32_t port_value;
    unsigned port_count;
    bool read_only;
};

static bool inside(uint64_t linear, unsigned size)
{
    return linear >= BASE && linear + size <= BASE + SIZE;
}

static bool bus_address(void *ctx, const struct x86_operand_at *at, uint64_t *linear)
{
    const struct machine *m = ctx;

    *linear = at->offset + (at->mode == 8 && at->segment < 4 ? 0 : m->segment[at->segment]);
    *linear &= at->mode == 8 ? UINT64_MAX : UINT32_MAX;
    return *linear != NO_SUCH_PLACE;
}

static bool bus_read(void *ctx, uint64_t linear, unsigned size, uint64_t *out)
{
    struct machine *m = ctx;

    if (!inside(linear, size)) {
        return false;
    }
    *out = 0;
    memcpy(out, m->memory + (linear - BASE), size);
    m->reads++;
    m->last_size = size;
    return true;
}

static bool bus_allowed(void *ctx, uint64_t linear, unsigned size, bool write)
{
    const struct machine *m = ctx;

    return !(write && m->read_only) && inside(linear, size);
}

static bool bus_write(void *ctx, uint64_t linear, unsigned size, uint64_t value)
{
    struct machine *m = ctx;

    if (!bus_allowed(ctx, linear, size, true)) {
        return false;
    }
    memcpy(m->memory + (linear - BASE), &value, size);
    m->writes++;
    m->last_size = size;
    return true;
}

static bool bus_port(void *ctx, uint16_t port, unsigned size, bool write, uint32_t *value)
{
    struct machine *m = ctx;

    assert_int_equal(port, 0x1F0);
    assert_true(size == 1 || size == 2 || size == 4);
    m->port_count++;
    m->port_value = write ? *value : m->port_value + 1;
    *value = m->port_value;
    return true;
}

static bool bus_vector(void *ctx, unsigned reg, bool write, uint64_t v[2])
{
    struct machine *m = ctx;

    assert_true(reg < 16);
    memcpy(write ? m->xmm[reg] : v, write ? v : m->xmm[reg], 16);
    return true;
}

static const struct x86_bus bus = {bus_address, bus_read, bus_write, bus_allowed, bus_port, bus_vector};

static void reset(struct machine *m)
{
    memset(m, 0, sizeof(*m));
    m->e = (struct x86_emulation){.bus = &bus, .ctx = m, .r = m->r, .stack_size = 8};
    for (unsigned i = 0; i < 16; i++) {
        m->r[i] = UINT64_C(0x1111111111111111) * i;
    }
    m->r[RBX] = BASE;
    m->r[RDX] = 0x1F0;
    m->segment[5] = GS_BASE;
}

static uint64_t word(const struct machine *m, unsigned at)
{
    uint64_t v;

    memcpy(&v, m->memory + at, 8);
    return v;
}

static void put(struct machine *m, unsigned at, uint64_t v)
{
    memcpy(m->memory + at, &v, 8);
}

static enum x86_emulate_result run(struct machine *m, unsigned mode, const char *bytes, unsigned size)
{
    struct x86_insn in;
    struct x86_form form;
    uint8_t copy[X86_INSN_MAX] = {0};

    assert_true(size <= sizeof(copy));
    memcpy(copy, bytes, size);
    assert_int_equal(x86_decode(copy, size, mode, &in), X86_DECODED);
    assert_int_equal(in.length, size);
    m->e.rip = RIP;
    form = x86_find_form(&in);
    return x86_emulate(&m->e, &in, &form);
}

#define RUN(m, mode, bytes) run(m, mode, bytes, sizeof(bytes) - 1)
#define DO(m, mode, bytes) assert_int_equal(RUN(m, mode, bytes), X86_EMULATE_DONE)

static void test_mov_to_register(void **state)
{
    struct machine m;

    (void)state;
    reset(&m);
    put(&m, 0, 0x8877665544332281);
    DO(&m, 8, "\x8B\x03"); // mov eax, [rbx]
    assert_int_equal(m.r[RAX], 0x44332281);
    assert_int_equal(m.last_size, 4);
    m.r[RCX] = UINT64_MAX;
    DO(&m, 8, "\x66\x8B\x0B"); // mov cx, [rbx]
    assert_int_equal(m.r[RCX], 0xFFFFFFFFFFFF2281);
    DO(&m, 8, "\x8A\x2B"); // mov ch, [rbx]
    assert_int_equal(m.r[RCX], 0xFFFFFFFFFFFF8181);
    DO(&m, 8, "\x40\x8A\x2B"); // mov bpl, [rbx]
    assert_int_equal(m.r[RBP], 0x5555555555555581);
    DO(&m, 8, "\x4C\x8B\x0B"); // mov r9, [rbx]
    assert_int_equal(m.r[9], 0x8877665544332281);
    DO(&m, 8, "\x0F\xB6\x03"); // movzx eax, byte [rbx]
    assert_int_equal(m.r[RAX], 0x81);
    assert_int_equal(m.last_size, 1);
    DO(&m, 8, "\x0F\xBE\x03"); // movsx eax, byte [rbx]
    assert_int_equal(m.r[RAX], 0xFFFFFF81);
    DO(&m, 8, "\x48\x0F\xBE\x03"); // movsx rax, byte [rbx]
    assert_int_equal(m.r[RAX], 0xFFFFFFFFFFFFFF81);
    DO(&m, 8, "\x0F\xB7\x43\x06"); // movzx eax, word [rbx+6]
    assert_int_equal(m.r[RAX], 0x8877);
    DO(&m, 8, "\x48\x63\x43\x04"); // movsxd rax, [rbx+4]
    assert_int_equal(m.r[RAX], 0xFFFFFFFF88776655);
    assert_int_equal(m.writes, 0);
}

static void test_mov_to_memory(void **state)
{
    struct machine m;

    (void)state;
    reset(&m);
    DO(&m, 8, "\x4C\x89\x43\x08"); // mov [rbx+8], r8
    assert_int_equal(word(&m, 8), 0x8888888888888888);
    DO(&m, 8, "\xC7\x43\x10\x78\x56\x34\x92"); // mov dword [rbx+16], imm
    assert_int_equal(word(&m, 16), 0x92345678);
    DO(&m, 8, "\x48\xC7\x43\x18\x78\x56\x34\x92"); // mov qword [rbx+24], imm
    assert_int_equal(word(&m, 24), 0xFFFFFFFF92345678);
    DO(&m, 8, "\xC6\x43\x20\xAB"); // mov byte [rbx+32], imm
    assert_int_equal(word(&m, 32), 0xAB);
    m.r[RAX] = 0x1234;
    DO(&m, 8, "\x88\x63\x28"); // mov [rbx+40], ah
    assert_int_equal(word(&m, 40), 0x12);
    DO(&m, 8, "\xA3\x30\x00\x01\x00\x00\x00\x00\x00"); // mov [moffs], eax
    assert_int_equal(word(&m, 48), 0x1234);
    DO(&m, 8, "\x0F\xC3\x43\x38"); // movnti [rbx+56], eax
    assert_int_equal(word(&m, 56), 0x1234);
    assert_int_equal(m.reads, 0);
    assert_int_equal(m.writes, 7);
}

static void test_addresses(void **state)
{
    struct machine m;

    (void)state;
    reset(&m);
    put(&m, 0x40, 0xABCD);
    m.r[RSI] = 0x10;
    DO(&m, 8, "\x8B\x04\xB3"); // mov eax, [rbx+rsi*4]
    assert_int_equal(m.r[RAX], 0xABCD);
    DO(&m, 8, "\x8B\x0D\x3A\xF8\xFF\xFF"); // mov ecx, [rip-0x7c6]
    assert_int_equal(m.r[RCX], 0xABCD);
    m.r[RBX] = BASE - GS_BASE;
    DO(&m, 8, "\x65\x8B\x43\x40"); // mov eax, gs:[rbx+0x40]
    assert_int_equal(m.r[RAX], 0xABCD);
    m.r[RBX] = 0xFFFFFFFF00010000;
    DO(&m, 8, "\x67\x8B\x4B\x40"); // mov ecx, [ebx+0x40]
    assert_int_equal(m.r[RCX], 0xABCD);
    m.segment[3] = 0x10000; // DS counts outside 64-bit code, addresses wrap
    m.r[RBX] = 0xFFFFFFF0;
    m.r[RAX] = 0;
    DO(&m, 4, "\x8B\x43\x50"); // mov eax, [ebx+0x50]
    assert_int_equal(m.r[RAX], 0xABCD);
    m.r[RBX] = 0xFFF0;
    DO(&m, 2, "\x8B\x4F\x50"); // mov cx, [bx+0x50]
    assert_int_equal(m.r[RCX], 0xABCD);
}

static void test_arithmetic(void **state)
{
    struct machine m;

    (void)state;
    reset(&m);
    m.e.flags = 0x202;
    put(&m, 0, 0xFFFFFFFFFFFFFFFF);
    m.r[RAX] = 1;
    DO(&m, 8, "\x01\x03"); // add [rbx], eax
    assert_int_equal(word(&m, 0), 0xFFFFFFFF00000000);
    assert_int_equal(m.e.flags, 0x202 | X86_FLAG_CF | X86_FLAG_ZF | X86_FLAG_PF | X86_FLAG_AF);
    DO(&m, 8, "\x13\x03"); // adc eax, [rbx]
    assert_int_equal(m.r[RAX], 2);
    DO(&m, 8, "\x83\x0B\x80"); // or dword [rbx], -128
    assert_int_equal(word(&m, 0), 0xFFFFFFFFFFFFFF80);
    DO(&m, 8, "\xF6\x03\x80"); // test byte [rbx], 0x80
    assert_true(!(m.e.flags & X86_FLAG_ZF) && m.e.flags & X86_FLAG_SF);
    m.writes = 0;
    DO(&m, 8, "\x80\x3B\x80"); // cmp byte [rbx], 0x80
    assert_true(m.e.flags & X86_FLAG_ZF);
    assert_int_equal(m.writes, 0);
    DO(&m, 8, "\xF7\x13"); // not dword [rbx]
    assert_int_equal(word(&m, 0), 0xFFFFFFFF0000007F);
    DO(&m, 8, "\xFE\x03"); // inc byte [rbx]
    assert_int_equal(word(&m, 0), 0xFFFFFFFF00000080);
    DO(&m, 8, "\x48\xF7\x1B"); // neg qword [rbx]
    assert_int_equal(word(&m, 0), 0xFFFFFF80);
    DO(&m, 8, "\x87\x03"); // xchg [rbx], eax
    assert_int_equal(word(&m, 0), 2);
    assert_int_equal(m.r[RAX], 0xFFFFFF80);
    DO(&m, 8, "\xF0\x0F\xC1\x03"); // lock xadd [rbx], eax
    assert_int_equal(word(&m, 0), 0xFFFFFF82);
    assert_int_equal(m.r[RAX], 2);
    DO(&m, 8, "\xF0\x0F\xB1\x0B"); // lock cmpxchg [rbx], ecx: differs
    assert_int_equal(m.r[RAX], 0xFFFFFF82);
    DO(&m, 8, "\xF0\x0F\xB1\x0B"); // and now does not
    assert_int_equal(word(&m, 0), 0x11111111);
}

static void test_bits(void **state)
{
    struct machine m;

    (void)state;
    reset(&m);
    DO(&m, 8, "\x0F\xBA\x2B\x25"); // bts dword [rbx], 37: modulo 32
    assert_int_equal(word(&m, 0), 0x20);
    m.r[RAX] = 37;
    DO(&m, 8, "\x0F\xAB\x03"); // bts [rbx], eax: the next one
    assert_int_equal(word(&m, 0), 0x2000000020);
    m.r[RBX] = BASE + 8;
    m.r[RAX] = (uint32_t)-27;
    DO(&m, 8, "\x0F\xB3\x03"); // btr [rbx], eax: the one before
    assert_int_equal(word(&m, 0), 0x20);
    assert_true(m.e.flags & X86_FLAG_CF);
    DO(&m, 8, "\x0F\xA3\x03"); // bt
    assert_false(m.e.flags & X86_FLAG_CF);
    m.writes = 0;
    DO(&m, 8, "\x0F\xBA\x23\x00"); // bt dword [rbx], 0
    assert_int_equal(m.writes, 0);
}

static void test_stack(void **state)
{
    struct machine m;

    (void)state;
    reset(&m);
    put(&m, 0, 0x123456789);
    m.r[RSP] = BASE + 0x100;
    DO(&m, 8, "\xFF\x33"); // push qword [rbx]
    assert_int_equal(m.r[RSP], BASE + 0xF8);
    assert_int_equal(word(&m, 0xF8), 0x123456789);
    DO(&m, 8, "\x8F\x44\x24\x08"); // pop qword [rsp+8], of the new rsp
    assert_int_equal(m.r[RSP], BASE + 0x100);
    assert_int_equal(word(&m, 0x108), 0x123456789);
    m.e.stack_size = 4;
    m.r[RBX] = 0x10;
    assert_int_equal(RUN(&m, 4, "\x8F\x03"), X86_EMULATE_STOPPED); // pop dword [ebx], nowhere
    assert_int_equal(m.r[RSP], BASE + 0x100);
}

static void test_strings(void **state)
{
    struct machine m;

    (void)state;
    reset(&m);
    for (unsigned i = 0; i < 64; i++) {
        m.memory[i] = (uint8_t)i;
    }
    m.r[RSI] = BASE;
    m.r[RDI] = BASE + 0x100;
    m.r[RCX] = 8;
    DO(&m, 8, "\xF3\x48\xA5"); // rep movsq
    assert_memory_equal(m.memory, m.memory + 0x100, 64);
    assert_true(m.r[RCX] == 0 && m.r[RSI] == BASE + 64 && m.r[RDI] == BASE + 0x140);
    m.e.flags = X86_FLAG_DF;
    m.r[RAX] = 0xAABB;
    m.r[RCX] = 2;
    m.r[RDI] = BASE + 0x202;
    DO(&m, 8, "\xF3\x66\xAB"); // rep stosw, downward
    assert_int_equal(word(&m, 0x200), 0xAABBAABB);
    assert_int_equal(m.r[RDI], BASE + 0x1FE);
    m.e.flags = 0;
    m.r[RSI] = BASE + 5;
    DO(&m, 8, "\xAC"); // lodsb
    assert_int_equal(m.r[RAX], 0xAA05);
    assert_int_equal(m.r[RSI], BASE + 6);
    m.r[RCX] = 0;
    m.writes = 0;
    DO(&m, 8, "\xF3\xAA"); // rep stosb of nothing
    assert_int_equal(m.writes, 0);
}

static void test_long_string_continues(void **state)
{
    struct machine m;
    unsigned calls = 1;

    (void)state;
    reset(&m);
    m.r[RDI] = BASE;
    m.r[RCX] = 1000;
    m.r[RAX] = 0x5A;
    while (RUN(&m, 8, "\xF3\xAA") == X86_EMULATE_AGAIN) {
        assert_int_equal(m.r[RCX], 1000 - calls * X86_STRING_BATCH);
        calls++;
    }
    assert_int_equal(calls, (1000 + X86_STRING_BATCH - 1) / X86_STRING_BATCH);
    assert_true(m.r[RCX] == 0 && m.r[RDI] == BASE + 1000 && m.memory[999] == 0x5A && m.memory[1000] == 0);
}

// What has been done stays done; the instruction can go on from there.
static void test_string_stops_at_a_fault(void **state)
{
    struct machine m;

    (void)state;
    reset(&m);
    m.r[RDI] = BASE + SIZE - 8;
    m.r[RCX] = 5;
    assert_int_equal(RUN(&m, 8, "\xF3\xAB"), X86_EMULATE_STOPPED); // rep stosd
    assert_true(m.r[RCX] == 3 && m.r[RDI] == BASE + SIZE);
}

static void test_ports(void **state)
{
    struct machine m;

    (void)state;
    reset(&m);
    m.r[RDI] = BASE;
    m.r[RCX] = 4;
    DO(&m, 8, "\xF3\x66\x6D"); // rep insw
    assert_int_equal(word(&m, 0), 0x0004000300020001);
    m.r[RSI] = BASE + 6;
    DO(&m, 8, "\x6E"); // outsb
    assert_int_equal(m.port_value, 4);
    assert_int_equal(m.port_count, 5);
    m.read_only = true; // a port must not be read in vain
    assert_int_equal(RUN(&m, 8, "\x6C"), X86_EMULATE_STOPPED);
    assert_int_equal(m.port_count, 5);
}

static void test_refused_changes_nothing(void **state)
{
    struct machine m, before;

    (void)state;
    reset(&m);
    m.read_only = true;
    put(&m, 0, 5);
    before = m;
    assert_int_equal(RUN(&m, 8, "\xFF\x03"), X86_EMULATE_STOPPED);         // inc dword [rbx]
    assert_int_equal(RUN(&m, 8, "\x87\x03"), X86_EMULATE_STOPPED);         // xchg
    assert_int_equal(RUN(&m, 8, "\xF0\x0F\xB1\x03"), X86_EMULATE_STOPPED); // cmpxchg
    assert_int_equal(RUN(&m, 8, "\xFF\x33"), X86_EMULATE_STOPPED);         // push
    assert_memory_equal(m.r, before.r, sizeof(m.r));
    assert_int_equal(m.e.flags, before.e.flags);
}

// Compared with a processor in test_x86_native.c; here what that cannot show.
static void test_jumps(void **state)
{
    struct machine m;

    (void)state;
    reset(&m);
    put(&m, 0, 0x123456789);
    m.r[RSP] = BASE + 0x100;
    DO(&m, 8, "\xFF\x13"); // call [rbx]
    assert_int_equal(m.e.rip, 0x123456789);
    assert_int_equal(m.r[RSP], BASE + 0xF8);
    assert_int_equal(word(&m, 0xF8), RIP + 2);
    put(&m, 0xF8, NO_SUCH_PLACE);
    assert_int_equal(RUN(&m, 8, "\xC2\x08\x00"), X86_EMULATE_STOPPED); // ret 8, to nowhere
    assert_true(m.r[RSP] == BASE + 0xF8 && m.e.rip == RIP);
    put(&m, 0, NO_SUCH_PLACE);
    m.writes = 0;
    assert_int_equal(RUN(&m, 8, "\xFF\x13"), X86_EMULATE_STOPPED);
    assert_int_equal(m.writes, 0);
    m.e.stack_size = 2;
    m.r[RSP] = 0x7FF0000;
    m.segment[2] = BASE;
    put(&m, 0xFFE, 0);
    assert_int_equal(RUN(&m, 2, "\xE8\xFE\xFF"),
                     X86_EMULATE_STOPPED); // call, its stack wraps to where nothing is
    m.r[RSP] = 0x7FF0102;
    DO(&m, 2, "\xE8\xFD\xFF"); // call to itself: 16 bits of everything
    assert_int_equal(m.e.rip, RIP & 0xFFFF);
    assert_int_equal(m.r[RSP], 0x7FF0100);
    assert_int_equal(word(&m, 0x100) & 0xFFFF, (RIP + 3) & 0xFFFF);
    assert_int_equal(RUN(&m, 8, "\x66\xFF\x23"), X86_EMULATE_UNKNOWN); // AMD's and Intel's processors differ
}

static void test_compares(void **state)
{
    struct machine m;

    (void)state;
    reset(&m);
    memcpy(m.memory, "abcdef", 6);
    memcpy(m.memory + 0x100, "abcxef", 6);
    m.r[RSI] = BASE;
    m.r[RDI] = BASE + 0x100;
    m.r[RCX] = 6;
    DO(&m, 8, "\xF3\xA6"); // repe cmpsb
    assert_true(m.r[RCX] == 2 && m.r[RSI] == BASE + 4 && m.r[RDI] == BASE + 0x104);
    assert_true(m.e.flags & X86_FLAG_CF && !(m.e.flags & X86_FLAG_ZF));
    m.r[RAX] = 'e';
    m.r[RCX] = 6;
    m.r[RDI] = BASE;
    DO(&m, 8, "\xF2\xAE"); // repne scasb
    assert_true(m.r[RCX] == 1 && m.r[RDI] == BASE + 5);
    DO(&m, 8, "\xF2\xF3\xAE"); // the last prefix counts: repe
    assert_true(m.r[RCX] == 0 && m.r[RDI] == BASE + 6);
}

// A step at a time, each to be seen.
static void test_single_steps(void **state)
{
    struct machine m;

    (void)state;
    reset(&m);
    m.e.flags = X86_FLAG_TF;
    m.r[RDI] = BASE;
    m.r[RCX] = 2;
    assert_int_equal(RUN(&m, 8, "\xF3\xAB"), X86_EMULATE_AGAIN); // rep stosd
    assert_true(m.r[RCX] == 1 && m.e.rip == RIP);
    DO(&m, 8, "\xF3\xAB");
    assert_true(m.r[RCX] == 0 && m.e.rip == RIP + 2);
}

static void test_lock(void **state)
{
    struct machine m;

    (void)state;
    reset(&m);
    DO(&m, 8, "\xF0\xFF\x03");                                               // lock inc dword [rbx]
    DO(&m, 8, "\xF0\x0F\xC7\x0B");                                           // lock cmpxchg8b [rbx]
    assert_int_equal(RUN(&m, 8, "\xF0\x8B\x03"), X86_EMULATE_UNDEFINED);     // mov eax, [rbx]
    assert_int_equal(RUN(&m, 8, "\xF0\x03\x03"), X86_EMULATE_UNDEFINED);     // add eax, [rbx]
    assert_int_equal(RUN(&m, 8, "\xF0\x39\x03"), X86_EMULATE_UNDEFINED);     // cmp [rbx], eax
    assert_int_equal(RUN(&m, 8, "\xF0\xD1\x23"), X86_EMULATE_UNDEFINED);     // shl dword [rbx], 1
    assert_int_equal(RUN(&m, 8, "\xF0\x0F\xA3\x03"), X86_EMULATE_UNDEFINED); // bt [rbx], eax
    assert_int_equal(RUN(&m, 8, "\xF0\xFF\x33"), X86_EMULATE_UNDEFINED);     // push [rbx]
    assert_int_equal(RUN(&m, 8, "\xF3\xF0\xAB"), X86_EMULATE_UNDEFINED);     // rep stosd
}

// What reads and changes memory does not read where it may not write: a device would notice.
static void test_nothing_is_read_in_vain(void **state)
{
    struct machine m;

    (void)state;
    reset(&m);
    m.read_only = true;
    m.r[RSI] = m.r[RDI] = BASE;
    assert_int_equal(RUN(&m, 8, "\x09\x03"), X86_EMULATE_STOPPED);         // or [rbx], eax
    assert_int_equal(RUN(&m, 8, "\x0F\xC7\x0B"), X86_EMULATE_STOPPED);     // cmpxchg8b
    assert_int_equal(RUN(&m, 8, "\xFF\x33"), X86_EMULATE_STOPPED);         // push
    assert_int_equal(RUN(&m, 8, "\xA5"), X86_EMULATE_STOPPED);             // movsd
    assert_int_equal(RUN(&m, 8, "\x66\x0F\x7F\x03"), X86_EMULATE_STOPPED); // movdqa [rbx], xmm0
    assert_int_equal(m.reads, 0);
}

static void test_vectors(void **state)
{
    struct machine m;

    (void)state;
    reset(&m);
    put(&m, 0, 0x1122334455667788);
    put(&m, 8, 0x99AABBCCDDEEFF00);
    DO(&m, 8, "\x44\x0F\x10\x03"); // movups xmm8, [rbx]
    assert_true(m.xmm[8][0] == 0x1122334455667788 && m.xmm[8][1] == 0x99AABBCCDDEEFF00);
    DO(&m, 8, "\x66\x44\x0F\x16\x03"); // movhpd xmm8, [rbx]
    assert_int_equal(m.xmm[8][1], 0x1122334455667788);
    DO(&m, 4, "\xF3\x0F\x10\x03"); // movss xmm0, [ebx]
    assert_true(m.xmm[0][0] == 0x55667788 && m.xmm[0][1] == 0);
    m.r[RBX] = BASE + SIZE - 8; // its second half is nowhere
    assert_int_equal(RUN(&m, 8, "\x44\x0F\x11\x03"), X86_EMULATE_STOPPED);
    assert_int_equal(m.writes, 0);
}

static void test_unknown(void **state)
{
    struct machine m;

    (void)state;
    reset(&m);
    assert_int_equal(RUN(&m, 8, "\x8B\xC3"), X86_EMULATE_UNKNOWN);             // mov eax, ebx: no memory
    assert_int_equal(RUN(&m, 8, "\xFF\x1B"), X86_EMULATE_UNKNOWN);             // far call
    assert_int_equal(RUN(&m, 8, "\x0F\x58\x03"), X86_EMULATE_UNKNOWN);         // addps
    assert_int_equal(RUN(&m, 8, "\x0F\x6F\x03"), X86_EMULATE_UNKNOWN);         // movq mm0, [rbx]
    assert_int_equal(RUN(&m, 8, "\xC5\xF8\x10\x03"), X86_EMULATE_UNKNOWN);     // vmovups
    assert_int_equal(RUN(&m, 8, "\x0F\xBA\x03\x00"), X86_EMULATE_UNKNOWN);     // no such bit operation
    assert_int_equal(RUN(&m, 8, "\x0F\xAE\x33"), X86_EMULATE_UNKNOWN);         // xsaveopt
    assert_int_equal(RUN(&m, 8, "\xF2\x0F\x38\xF1\x03"), X86_EMULATE_UNKNOWN); // crc32
    assert_int_equal(RUN(&m, 4, "\x63\x03"), X86_EMULATE_UNKNOWN);             // arpl
    DO(&m, 8, "\x0F\xAE\x3B");                                                 // clflush
    DO(&m, 8, "\x66\x0F\xAE\x33");                                             // clwb
    assert_int_equal(m.reads + m.writes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mov_to_register),
        cmocka_unit_test(test_mov_to_memory),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_arithmetic),
        cmocka_unit_test(test_bits),
        cmocka_unit_test(test_stack),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_long_string_continues),
        cmocka_unit_test(test_string_stops_at_a_fault),
        cmocka_unit_test(test_ports),
        cmocka_unit_test(test_refused_changes_nothing),
        cmocka_unit_test(test_jumps),
        cmocka_unit_test(test_compares),
        cmocka_unit_test(test_single_steps),
        cmocka_unit_test(test_lock),
        cmocka_unit_test(test_nothing_is_read_in_vain),
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_unknown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
