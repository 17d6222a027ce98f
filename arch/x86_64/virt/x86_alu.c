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

const struct x86_op_traits x86_op_table[X86_OP_COUNT] = {
    [X86_OP_ADD] = {op_add, true, true, false},         [X86_OP_OR] = {op_or, true, true, false},
    [X86_OP_ADC] = {op_adc, true, true, false},         [X86_OP_SBB] = {op_sbb, true, true, false},
    [X86_OP_AND] = {op_and, true, true, false},         [X86_OP_SUB] = {op_sub, true, true, false},
    [X86_OP_XOR] = {op_xor, true, true, false},         [X86_OP_CMP] = {op_cmp, true, false, false},
    [X86_OP_TEST] = {op_test, true, false, false},      [X86_OP_MOV] = {op_mov, false, true, false},
    [X86_OP_XCHG] = {op_xchg, true, true, true},        [X86_OP_XADD] = {op_xadd, true, true, true},
    [X86_OP_CMPXCHG] = {op_cmpxchg, true, true, false}, [X86_OP_NOT] = {op_not, true, true, false},
    [X86_OP_NEG] = {op_neg, true, true, false},         [X86_OP_INC] = {op_inc, true, true, false},
    [X86_OP_DEC] = {op_dec, true, true, false},         [X86_OP_BT] = {op_bt, true, false, false},
    [X86_OP_BTS] = {op_bts, true, true, false},         [X86_OP_BTR] = {op_btr, true, true, false},
    [X86_OP_BTC] = {op_btc, true, true, false},
};
