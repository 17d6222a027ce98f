// SPDX-License-Identifier: Apache-2.0
//
// See x86_alu.h. Carries come out of all bit positions at once: bit n of `carries` is the carry out of bit n.
#include "arch/x86_64/virt/x86_alu.h"

static uint64_t size_mask(const struct x86_alu *a)
{
    return MASK64(0, 8u * a->size);
}

static uint64_t top_bit(const struct x86_alu *a)
{
    return BIT64(8u * a->size - 1);
}

static uint64_t flag_if(bool on, uint64_t flag)
{
    return on ? flag : 0;
}

static bool even_parity(uint64_t v)
{
    v ^= v >> 4;
    return !(0x6996u >> (v & 15) & 1); // bit n: parity of n
}

// Sets the arithmetic flags for `result`: of carries, and of signed overflow in the top bit of `overflow`.
static void set_flags(struct x86_alu *a, uint64_t result, uint64_t carries, uint64_t overflow)
{
    a->flags = (a->flags & ~X86_FLAGS_ARITHMETIC) | flag_if(carries & top_bit(a), X86_FLAG_CF) |
               flag_if(carries & BIT64(3), X86_FLAG_AF) | flag_if(even_parity(result & 0xFF), X86_FLAG_PF) |
               flag_if(result == 0, X86_FLAG_ZF) | flag_if(result & top_bit(a), X86_FLAG_SF) |
               flag_if(overflow & top_bit(a), X86_FLAG_OF);
}

static uint64_t add(struct x86_alu *a, uint64_t x, uint64_t y, uint64_t carry)
{
    uint64_t r = (x + y + carry) & size_mask(a);

    set_flags(a, r, (x & y) | ((x | y) & ~r), (x ^ r) & (y ^ r));
    return r;
}

static uint64_t subtract(struct x86_alu *a, uint64_t x, uint64_t y, uint64_t borrow)
{
    uint64_t r = (x - y - borrow) & size_mask(a);

    set_flags(a, r, (~x & y) | ((~x | y) & r), (x ^ y) & (x ^ r));
    return r;
}

static uint64_t logic(struct x86_alu *a, uint64_t r)
{
    set_flags(a, r, 0, 0);
    return r;
}

static void op_add(struct x86_alu *a)
{
    a->dst = add(a, a->dst, a->src, 0);
}

static void op_adc(struct x86_alu *a)
{
    a->dst = add(a, a->dst, a->src, a->flags & X86_FLAG_CF);
}

static void op_sub(struct x86_alu *a)
{
    a->dst = subtract(a, a->dst, a->src, 0);
}

static void op_sbb(struct x86_alu *a)
{
    a->dst = subtract(a, a->dst, a->src, a->flags & X86_FLAG_CF);
}

static void op_cmp(struct x86_alu *a)
{
    subtract(a, a->dst, a->src, 0);
}

static void op_or(struct x86_alu *a)
{
    a->dst = logic(a, a->dst | a->src);
}

static void op_and(struct x86_alu *a)
{
    a->dst = logic(a, a->dst & a->src);
}

static void op_xor(struct x86_alu *a)
{
    a->dst = logic(a, a->dst ^ a->src);
}

static void op_test(struct x86_alu *a)
{
    logic(a, a->dst & a->src);
}

static void op_mov(struct x86_alu *a)
{
    a->dst = a->src;
}

static void op_xchg(struct x86_alu *a)
{
    uint64_t old = a->dst;

    a->dst = a->src;
    a->src = old;
}

static void op_xadd(struct x86_alu *a)
{
    uint64_t old = a->dst;

    a->dst = add(a, a->dst, a->src, 0);
    a->src = old;
}

// The destination is written either way.
static void op_cmpxchg(struct x86_alu *a)
{
    subtract(a, a->rax, a->dst, 0);
    if (a->flags & X86_FLAG_ZF) {
        a->dst = a->src;
    } else {
        a->rax = a->dst;
    }
}

static void op_not(struct x86_alu *a)
{
    a->dst = ~a->dst & size_mask(a);
}

static void op_neg(struct x86_alu *a)
{
    a->dst = subtract(a, 0, a->dst, 0);
}

static void op_inc(struct x86_alu *a)
{
    uint64_t carry = a->flags & X86_FLAG_CF;

    a->dst = add(a, a->dst, 1, 0);
    a->flags = (a->flags & ~X86_FLAG_CF) | carry;
}

static void op_dec(struct x86_alu *a)
{
    uint64_t carry = a->flags & X86_FLAG_CF;

    a->dst = subtract(a, a->dst, 1, 0);
    a->flags = (a->flags & ~X86_FLAG_CF) | carry;
}

// The bit of the operand that src names; goes to CF first.
static uint64_t test_bit(struct x86_alu *a)
{
    uint64_t bit = BIT64(a->src & (8u * a->size - 1));

    a->flags = (a->flags & ~X86_FLAG_CF) | flag_if(a->dst & bit, X86_FLAG_CF);
    return bit;
}

static void op_bt(struct x86_alu *a)
{
    test_bit(a);
}

static void op_bts(struct x86_alu *a)
{
    a->dst |= test_bit(a);
}

static void op_btr(struct x86_alu *a)
{
    a->dst &= ~test_bit(a);
}

static void op_btc(struct x86_alu *a)
{
    a->dst ^= test_bit(a);
}

// ---- shifts ------------------------------------------

static unsigned shift_count(const struct x86_alu *a)
{
    return (unsigned)a->src & (a->size == 8 ? 63 : 31);
}

// CF and OF alone, as rotations leave the rest.
static void set_carry_overflow(struct x86_alu *a, bool carry, bool overflow)
{
    a->flags = (a->flags & ~(X86_FLAG_CF | X86_FLAG_OF)) | flag_if(carry, X86_FLAG_CF) |
               flag_if(overflow, X86_FLAG_OF);
}

static void set_shift_flags(struct x86_alu *a, bool carry, bool overflow)
{
    set_flags(a, a->dst, 0, 0);
    set_carry_overflow(a, carry, overflow);
}

static void op_rol(struct x86_alu *a)
{
    unsigned bits = 8u * a->size, n = shift_count(a) % bits;

    if (!shift_count(a)) {
        return;
    }
    a->dst = n ? (a->dst << n | a->dst >> (bits - n)) & size_mask(a) : a->dst;
    set_carry_overflow(a, a->dst & 1, (a->dst & 1) != (a->dst >> (bits - 1) & 1));
}

static void op_ror(struct x86_alu *a)
{
    unsigned bits = 8u * a->size, n = shift_count(a) % bits;

    if (!shift_count(a)) {
        return;
    }
    a->dst = n ? (a->dst >> n | a->dst << (bits - n)) & size_mask(a) : a->dst;
    set_carry_overflow(a, a->dst & top_bit(a), ((a->dst >> 1 ^ a->dst) & (top_bit(a) >> 1)) != 0);
}

// Through the carry, bit by bit: at most 63 of them. OF is defined after one, and goes by the last.
static void op_rcl(struct x86_alu *a)
{
    for (unsigned n = shift_count(a) % (8u * a->size + 1); n; n--) {
        bool out = a->dst & top_bit(a);

        a->dst = (a->dst << 1 | (a->flags & X86_FLAG_CF)) & size_mask(a);
        set_carry_overflow(a, out, out != ((a->dst & top_bit(a)) != 0));
    }
}

static void op_rcr(struct x86_alu *a)
{
    for (unsigned n = shift_count(a) % (8u * a->size + 1); n; n--) {
        bool out = a->dst & 1, in = a->flags & X86_FLAG_CF;

        set_carry_overflow(a, out, in != ((a->dst & top_bit(a)) != 0));
        a->dst = a->dst >> 1 | flag_if(in, top_bit(a));
    }
}

static void op_shl(struct x86_alu *a)
{
    unsigned bits = 8u * a->size, n = shift_count(a);
    bool carry;

    if (!n) {
        return;
    }
    carry = n <= bits && a->dst >> (bits - n) & 1;
    a->dst = n < bits ? a->dst << n & size_mask(a) : 0;
    set_shift_flags(a, carry, carry != ((a->dst & top_bit(a)) != 0));
}

static void op_shr(struct x86_alu *a)
{
    unsigned bits = 8u * a->size, n = shift_count(a);
    bool carry, top = a->dst & top_bit(a);

    if (!n) {
        return;
    }
    carry = n <= bits && a->dst >> (n - 1) & 1;
    a->dst = n < bits ? a->dst >> n : 0;
    set_shift_flags(a, carry, top);
}

static void op_sar(struct x86_alu *a)
{
    unsigned unused = 64 - 8u * a->size, n = shift_count(a);
    int64_t v = (int64_t)(a->dst << unused) >> unused;

    if (!n) {
        return;
    }
    a->dst = (uint64_t)(v >> n) & size_mask(a);
    set_shift_flags(a, v >> (n - 1) & 1, false);
}

// ---- the rest ----------------------------------------

// Signed. Of the flags CF and OF are defined: does the result not fit?
static void op_imul(struct x86_alu *a)
{
    unsigned unused = 64 - 8u * a->size;
    int64_t x = (int64_t)(a->dst << unused) >> unused, y = (int64_t)(a->src << unused) >> unused, r;
    bool lost = __builtin_mul_overflow(x, y, &r);

    a->dst = (uint64_t)r & size_mask(a);
    lost |= (int64_t)(a->dst << unused) >> unused != r;
    set_carry_overflow(a, lost, lost);
}

static void op_swap(struct x86_alu *a)
{
    a->dst = __builtin_bswap64(a->src) >> (64 - 8u * a->size);
}

bool x86_condition(uint64_t flags, unsigned code)
{
    bool less = ((flags & X86_FLAG_SF) != 0) != ((flags & X86_FLAG_OF) != 0);
    const bool met[8] = {
        flags & X86_FLAG_OF,
        flags & X86_FLAG_CF,
        flags & X86_FLAG_ZF,
        flags & (X86_FLAG_CF | X86_FLAG_ZF),
        flags & X86_FLAG_SF,
        flags & X86_FLAG_PF,
        less,
        less || flags & X86_FLAG_ZF,
    };

    return met[code >> 1 & 7] != (code & 1);
}

#define READS .reads_dst = true
#define CHANGES .reads_dst = true, .writes_dst = true
#define LOCKS CHANGES, .locks = true

const struct x86_op_traits x86_op_table[X86_OP_COUNT] = {
    [X86_OP_ADD] = {op_add, LOCKS},
    [X86_OP_OR] = {op_or, LOCKS},
    [X86_OP_ADC] = {op_adc, LOCKS},
    [X86_OP_SBB] = {op_sbb, LOCKS},
    [X86_OP_AND] = {op_and, LOCKS},
    [X86_OP_SUB] = {op_sub, LOCKS},
    [X86_OP_XOR] = {op_xor, LOCKS},
    [X86_OP_CMP] = {op_cmp, READS},
    [X86_OP_TEST] = {op_test, READS},
    [X86_OP_MOV] = {op_mov, .writes_dst = true},
    [X86_OP_XCHG] = {op_xchg, LOCKS, .writes_src = true},
    [X86_OP_XADD] = {op_xadd, LOCKS, .writes_src = true},
    [X86_OP_CMPXCHG] = {op_cmpxchg, LOCKS},
    [X86_OP_NOT] = {op_not, LOCKS},
    [X86_OP_NEG] = {op_neg, LOCKS},
    [X86_OP_INC] = {op_inc, LOCKS},
    [X86_OP_DEC] = {op_dec, LOCKS},
    [X86_OP_BT] = {op_bt, READS},
    [X86_OP_BTS] = {op_bts, LOCKS},
    [X86_OP_BTR] = {op_btr, LOCKS},
    [X86_OP_BTC] = {op_btc, LOCKS},
    [X86_OP_ROL] = {op_rol, CHANGES},
    [X86_OP_ROR] = {op_ror, CHANGES},
    [X86_OP_RCL] = {op_rcl, CHANGES},
    [X86_OP_RCR] = {op_rcr, CHANGES},
    [X86_OP_SHL] = {op_shl, CHANGES},
    [X86_OP_SHR] = {op_shr, CHANGES},
    [X86_OP_SAR] = {op_sar, CHANGES},
    [X86_OP_IMUL] = {op_imul, CHANGES},
    [X86_OP_SWAP] = {op_swap, .writes_dst = true},
};
