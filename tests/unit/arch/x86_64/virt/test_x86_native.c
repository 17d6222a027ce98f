// SPDX-License-Identifier: Apache-2.0
//
// Emulated instructions against the processor that runs the tests: the same bytes, registers, flags and memory, of every form
// that the emulator has but those of ports. What the manual leaves undefined is not compared. On an x86_64 alone.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/mman.h>

#include "arch/x86_64/virt/x86_emulate_local.h"

#define DATA_SIZE 4096u
#define MIDDLE 1024u // operands lie within so many bytes from there
#define SPREAD 1024u
#define ROUNDS 400u

static uint64_t seed = 1;

static uint32_t random32(void)
{
    seed = seed * 6364136223846793005 + 1442695040888963407;
    return (uint32_t)(seed >> 32);
}

static uint64_t random64(void)
{
    static const uint64_t edges[] = {0, 1, UINT64_MAX, INT64_MAX, 0x80000000, 0x7FFFFFFF, 0xFF, 0x8000};

    if (random32() % 4 == 0) {
        return edges[random32() % ARRAY_SIZE(edges)];
    }
    return (uint64_t)random32() << 32 | random32();
}

// ---- the processor -----------------------------------

struct state {
    uint64_t r[16];
    uint64_t flags;
    uint64_t xmm[16][2];
};

struct state native_state;
uint64_t native_stack, native_code;
void native_run(void);
void native_back(void);

// clang-format off
asm("    .text\n"
    "native_run:\n"
    "    push %rbx\n    push %rbp\n    push %r12\n    push %r13\n    push %r14\n    push %r15\n"
    "    mov %rsp, native_stack(%rip)\n"
    "    .set i, 0\n"
    "    .irp x, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
    "    movups native_state + 136 + 16 * \\x(%rip), %xmm\\x\n"
    "    .endr\n"
    "    pushq native_state + 128(%rip)\n    popfq\n"
    "    .irp x, rax,rcx,rdx,rbx,rsp,rbp,rsi,rdi,r8,r9,r10,r11,r12,r13,r14,r15\n"
    "    mov native_state + 8 * i(%rip), %\\x\n"
    "    .set i, i + 1\n"
    "    .endr\n"
    "    jmp *native_code(%rip)\n"
    "native_back:\n"
    "    .set i, 0\n"
    "    .irp x, rax,rcx,rdx,rbx,rsp,rbp,rsi,rdi,r8,r9,r10,r11,r12,r13,r14,r15\n"
    "    mov %\\x, native_state + 8 * i(%rip)\n"
    "    .set i, i + 1\n"
    "    .endr\n"
    "    mov native_stack(%rip), %rsp\n"
    "    pushfq\n    popq native_state + 128(%rip)\n    cld\n"
    "    .irp x, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
    "    movups %xmm\\x, native_state + 136 + 16 * \\x(%rip)\n"
    "    .endr\n"
    "    pop %r15\n    pop %r14\n    pop %r13\n    pop %r12\n    pop %rbp\n    pop %rbx\n"
    "    ret\n");
// clang-format on
_Static_assert(offsetof(struct state, flags) == 128 && offsetof(struct state, xmm) == 136, "as above");

static uint8_t *data, *code;
static uint8_t memory[DATA_SIZE]; // the emulator's
static struct state state;        // likewise
static bool has_movbe, has_cx16, has_sse4;

#define THUNK 64u // in `code`: where jumps go

static void put_exit(uint8_t *at)
{
    static const uint8_t jump[] = {0xFF, 0x25, 0, 0, 0, 0}; // jmp *0(%rip)
    uint64_t back = (uint64_t)(uintptr_t)native_back;

    memcpy(at, jump, sizeof(jump));
    memcpy(at + sizeof(jump), &back, sizeof(back));
}

static int setup(void **unused)
{
    unsigned a, b, c = 0, d;

    (void)unused;
    data = mmap(NULL, DATA_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    code = mmap(NULL, DATA_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT,
                -1, 0);
    if (data == MAP_FAILED || code == MAP_FAILED) {
        return -1;
    }
    put_exit(code + THUNK);
    native_code = (uint64_t)(uintptr_t)code;
    __get_cpuid(1, &a, &b, &c, &d);
    has_movbe = c & bit_MOVBE;
    has_cx16 = c & bit_CMPXCHG16B;
    has_sse4 = c & bit_SSE4_1;
    return 0;
}

// ---- the emulator's bus ------------------------------

static uint64_t data_address(void)
{
    return (uint64_t)(uintptr_t)data;
}

static bool bus_address(void *ctx, const struct x86_operand_at *at, uint64_t *linear)
{
    (void)ctx;
    *linear = at->offset;
    return true;
}

static bool bus_read(void *ctx, uint64_t linear, unsigned size, uint64_t *out)
{
    (void)ctx;
    assert_true(linear - data_address() <= DATA_SIZE - size);
    *out = 0;
    memcpy(out, memory + (linear - data_address()), size);
    return true;
}

static bool bus_write(void *ctx, uint64_t linear, unsigned size, uint64_t value)
{
    (void)ctx;
    assert_true(linear - data_address() <= DATA_SIZE - size);
    memcpy(memory + (linear - data_address()), &value, size);
    return true;
}

static bool bus_allowed(void *ctx, uint64_t linear, unsigned size, bool write)
{
    (void)ctx;
    (void)write;
    return linear - data_address() <= DATA_SIZE - size;
}

static bool bus_vector(void *ctx, unsigned reg, bool write, uint64_t v[2])
{
    (void)ctx;
    memcpy(write ? state.xmm[reg] : v, write ? v : state.xmm[reg], 16);
    return true;
}

static const struct x86_bus bus = {.address = bus_address,
                                   .read = bus_read,
                                   .write = bus_write,
                                   .allowed = bus_allowed,
                                   .vector = bus_vector};

// ---- instructions ------------------------------------

struct trial {
    uint8_t bytes[X86_INSN_MAX + 1];
    struct x86_insn in;
    struct x86_form form;
    bool vector;
    uint64_t at; // of the operand
};

static bool is_string(const struct trial *t)
{
    return t->form.kind == X86_STRING;
}

static bool is_jump(const struct trial *t)
{
    return t->form.kind == X86_CALL || t->form.kind == X86_JUMP || t->form.kind == X86_RETURN;
}

// Would the processor take it? Some have meanings, or faults, that the emulator is never asked about.
static bool worth_it(const struct trial *t)
{
    const struct x86_insn *in = &t->in;
    bool repeat = in->prefixes & (X86_PFX_REP | X86_PFX_REPNE);
    bool o66 = in->prefixes & X86_PFX_OPERAND;

    if (t->vector) {
        return has_sse4 || in->map != X86_MAP_0F38;
    }
    if (t->form.kind == X86_UNKNOWN || t->form.kind == X86_NOTHING || t->form.kind == X86_WRONG ||
        (repeat && !is_string(t)) || (is_jump(t) && o66) || t->form.src == X86_PORT ||
        t->form.dst == X86_PORT || t->form.src == X86_DIRECT || t->form.dst == X86_DIRECT) {
        return false;
    }
    if (in->map == X86_MAP_0F && (in->opcode == 0xC3 || in->opcode == 0xC7)) {
        return !o66 && (has_cx16 || in->opcode == 0xC3 || in->operand_size != 8);
    }
    return has_movbe || in->map != X86_MAP_0F38;
}

static unsigned put_prefixes(uint8_t *b, bool vector)
{
    static const uint8_t often[] = {0x66, 0xF3, 0xF2, 0x67, 0xF0, 0x2E, 0x3E, 0x36};
    uint32_t r = random32();
    unsigned n = 0;

    for (unsigned i = 0; i < 2; i++, r >>= 4) {
        if (r & 8 || (vector && i == 0)) {
            b[n++] = often[vector && i == 0 ? r % 3 : r % 8];
        }
    }
    if (r & 1) {
        b[n++] = (uint8_t)(0x40 | (r >> 1 & 15));
    }
    return n;
}

static bool make(struct trial *t, unsigned map, unsigned opcode)
{
    static const uint8_t escape[] = {0x0F, 0x38};
    unsigned n = put_prefixes(t->bytes, map && random32() & 1), escapes = map;

    memcpy(t->bytes + n, escape, escapes);
    n += escapes;
    t->bytes[n++] = (uint8_t)opcode;
    while (n < sizeof(t->bytes)) {
        t->bytes[n++] = (uint8_t)random32();
    }
    if (x86_decode(t->bytes, X86_INSN_MAX, 8, &t->in) != X86_DECODED || t->in.opcode != opcode) {
        return false; // it is a prefix, perhaps
    }
    t->form = x86_find_form(&t->in);
    t->vector = t->form.kind == X86_VECTOR;
    return worth_it(t);
}

// Registers such that the operand is at t->at; false when the form does not let that be.
static bool aim(struct trial *t)
{
    struct x86_insn *in = &t->in;
    uint64_t rest = t->at - (uint64_t)(int64_t)in->displacement;
    uint64_t junk = in->address_size == 4 ? random64() << 32 : 0;

    if (in->rip_relative) {
        int32_t d = (int32_t)(t->at - (native_code + in->length));

        memcpy(t->bytes + in->length - in->immediate_size - 4, &d, 4);
        return x86_decode(t->bytes, X86_INSN_MAX, 8, in) == X86_DECODED;
    }
    if (in->base == X86_NO_REG || in->base == in->index) {
        return false;
    }
    if (in->index != X86_NO_REG) {
        state.r[in->index] = (random32() & 255) | junk;
        rest -= state.r[in->index] * in->scale;
    }
    state.r[in->base] = in->address_size == 4 ? (uint32_t)rest | junk : rest;
    return true;
}

static bool uses_register(const struct x86_insn *in, unsigned reg)
{
    return in->base == reg || in->index == reg;
}

// A bit's number, near: it moves the operand.
static bool choose_bit(struct trial *t)
{
    unsigned size = 8u * t->in.operand_size;
    int64_t bit =
        t->in.prefixes & X86_PFX_LOCK ? (int64_t)(random32() % size) : (int64_t)(random32() % 512) - 256;

    if (!(t->form.flags & X86_FORM_BITS)) {
        return true;
    }
    state.r[t->in.reg] = (uint64_t)bit;
    return !uses_register(&t->in, t->in.reg);
}

static bool stack_fits(const struct trial *t)
{
    bool used = t->form.kind == X86_PUSH || t->form.kind == X86_POP || is_jump(t);

    return !used || state.r[RSP] - data_address() - MIDDLE / 2 < 2 * SPREAD;
}

static void aim_string(const struct x86_insn *in)
{
    uint64_t junk = in->address_size == 4 ? random64() << 32 : 0;

    state.r[RSI] = (data_address() + MIDDLE + random32() % SPREAD) | junk;
    state.r[RDI] = (data_address() + MIDDLE + random32() % SPREAD) | junk;
    if (random32() & 1) { // comparisons that go on for a while
        memset(data, random32() & 3 ? 0 : 7, DATA_SIZE);
        state.r[RAX] = random32() & 3 ? 0 : random64();
    }
    // Makers differ in whether an ECX of 0 clears the upper halves.
    state.r[RCX] = junk ? (random32() % 23 + 1) | junk : random32() % 24;
}

// Jumps go to the thunk, where from is `at`.
static bool aim_jump(struct trial *t)
{
    uint64_t to = native_code + THUNK;
    int32_t d = (int32_t)(THUNK - t->in.length);

    if (t->form.kind == X86_RETURN) {
        memcpy(data + (state.r[RSP] - data_address()), &to, sizeof(to));
    } else if (t->form.src == X86_IMM) {
        memcpy(t->bytes + t->in.length - 4, &d, 4);
        return x86_decode(t->bytes, X86_INSN_MAX, 8, &t->in) == X86_DECODED;
    } else {
        memcpy(data + (t->at - data_address()), &to, sizeof(to));
    }
    return true;
}

static bool prepare(struct trial *t)
{
    // Of 16 bytes, and locked ones, which must not lie in two lines of the cache.
    bool aligned = t->vector || t->form.kind == X86_CMPXCHG_PAIR || t->in.prefixes & X86_PFX_LOCK;

    for (unsigned i = 0; i < 16; i++) {
        state.r[i] = random64();
        state.xmm[i][0] = random64();
        state.xmm[i][1] = random64();
    }
    for (unsigned i = 0; i < DATA_SIZE; i++) {
        data[i] = (uint8_t)random32();
    }
    state.flags = 0x202 | (random64() & (X86_FLAGS_ARITHMETIC | (is_string(t) ? X86_FLAG_DF : 0)));
    state.r[RSP] = data_address() + MIDDLE + random32() % SPREAD;
    t->at = data_address() + MIDDLE + random32() % SPREAD;
    t->at &= aligned ? ~UINT64_C(15) : UINT64_MAX;
    if (is_string(t)) {
        aim_string(&t->in);
        return true;
    }
    if (t->in.memory && (!choose_bit(t) || !aim(t) || !stack_fits(t))) {
        return false;
    }
    // The accumulator sometimes has what CMPXCHG looks for.
    if (t->form.op == X86_OP_CMPXCHG && random32() & 1 && !uses_register(&t->in, RAX) &&
        !uses_register(&t->in, RDX)) {
        memcpy(&state.r[RAX], data + (t->at - data_address()), 8);
        memcpy(&state.r[RDX], data + (t->at - data_address()) + (t->in.operand_size == 8 ? 8 : 4), 8);
    }
    return !is_jump(t) || aim_jump(t);
}

static unsigned shift_count(const struct trial *t, const struct state *before)
{
    unsigned n = t->form.src == X86_CL    ? (unsigned)before->r[RCX]
                 : t->form.src == X86_IMM ? (unsigned)t->in.immediate
                                          : 1;

    return n & (t->in.operand_size == 8 && !(t->form.flags & X86_FORM_BYTE) ? 63 : 31);
}

// Flags that have a defined value afterwards.
static uint64_t defined_flags(const struct trial *t, const struct state *before)
{
    uint64_t all = X86_FLAGS_ARITHMETIC | X86_FLAG_DF;
    unsigned n;

    if (t->vector || t->form.kind != X86_ALU) {
        return all;
    }
    switch (t->form.op) {
    case X86_OP_AND:
    case X86_OP_OR:
    case X86_OP_XOR:
    case X86_OP_TEST:
        return all & ~X86_FLAG_AF;
    case X86_OP_IMUL:
        return X86_FLAG_CF | X86_FLAG_OF;
    case X86_OP_BT:
    case X86_OP_BTS:
    case X86_OP_BTR:
    case X86_OP_BTC:
        return X86_FLAG_CF | X86_FLAG_ZF;
    default:
        break;
    }
    if (t->form.op < X86_OP_ROL || t->form.op > X86_OP_SAR) {
        return all;
    }
    n = shift_count(t, before);
    if (n && t->form.op >= X86_OP_SHL) {
        all &= ~X86_FLAG_AF;
        all &= t->form.op != X86_OP_SAR && n >= 8 ? ~X86_FLAG_CF : UINT64_MAX; // beyond small operands
    }
    return n > 1 ? all & ~X86_FLAG_OF : all;
}

static void describe(const struct trial *t, const struct state *before)
{
    print_message("bytes");
    for (unsigned i = 0; i < t->in.length; i++) {
        print_message(" %02x", t->bytes[i]);
    }
    print_message(" flags %llx, then %llx, not %llx\n", (unsigned long long)before->flags,
                  (unsigned long long)state.flags, (unsigned long long)native_state.flags);
    for (unsigned i = 0; i < 16; i++) {
        print_message("  r%u %llx, then %llx, not %llx\n", i, (unsigned long long)before->r[i],
                      (unsigned long long)state.r[i], (unsigned long long)native_state.r[i]);
    }
}

static void attempt(struct trial *t)
{
    struct state before = state;
    struct x86_emulation e = {
        .bus = &bus, .r = state.r, .rip = native_code, .flags = state.flags, .stack_size = 8};
    uint64_t next = is_jump(t) ? native_code + THUNK : native_code + t->in.length, flags;

    memcpy(memory, data, DATA_SIZE);
    native_state = state;
    memcpy(code, t->bytes, t->in.length);
    put_exit(code + t->in.length);
    native_run();
    assert_int_equal(x86_emulate(&e, &t->in, &t->form), X86_EMULATE_DONE);
    state.flags = e.flags;
    flags = defined_flags(t, &before);
    if (memcmp(state.r, native_state.r, sizeof(state.r)) != 0 || memcmp(memory, data, DATA_SIZE) != 0 ||
        memcmp(state.xmm, native_state.xmm, sizeof(state.xmm)) != 0 || e.rip != next ||
        (state.flags ^ native_state.flags) & flags) {
        describe(t, &before);
        fail_msg("memory is %s", memcmp(memory, data, DATA_SIZE) ? "not the same" : "the same");
    }
}

static void test_as_the_processor(void **unused)
{
    unsigned forms = 0, done = 0;

    (void)unused;
    for (unsigned map = 0; map < 3; map++) {
        for (unsigned opcode = 0; opcode < 256; opcode++) {
            unsigned before = done;

            for (unsigned i = 0; i < ROUNDS; i++) {
                struct trial t;

                if (make(&t, map, opcode) && prepare(&t)) {
                    attempt(&t);
                    done++;
                }
            }
            forms += done != before;
        }
    }
    print_message("%u opcodes, %u instructions\n", forms, done);
    assert_true(forms > 150);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_as_the_processor)};

    return cmocka_run_group_tests(tests, setup, NULL);
}
#else
static void test_elsewhere(void **unused)
{
    (void)unused;
    skip();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_elsewhere)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
#endif
