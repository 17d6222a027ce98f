// SPDX-License-Identifier: Apache-2.0
//
// Atomic operations on bytes and half-words, which RV64A does not have and gcc 12 calls functions for: done on the word
// around them. All are fully ordered, which is at least what any caller asked for.
#include "kernel/lib/types.h"

// The names that the compiler calls; it will not let C use them.
#define NAMED(name) __asm__(name)

static uint32_t *word_of(volatile void *p)
{
    return (uint32_t *)((uintptr_t)p & ~(uintptr_t)3);
}

static unsigned shift_of(volatile void *p)
{
    return (unsigned)((uintptr_t)p & 3) * 8;
}

enum op {
    OP_EXCHANGE,
    OP_ADD,
    OP_SUB,
    OP_AND,
    OP_OR,
    OP_XOR
};

static uint32_t combine(enum op op, uint32_t old, uint32_t v)
{
    switch (op) {
    case OP_ADD:
        return old + v;
    case OP_SUB:
        return old - v;
    case OP_AND:
        return old & v;
    case OP_OR:
        return old | v;
    case OP_XOR:
        return old ^ v;
    case OP_EXCHANGE:
        break;
    }
    return v;
}

static inline uint32_t fetch(volatile void *p, uint32_t v, uint32_t mask, enum op op)
{
    uint32_t *w = word_of(p);
    unsigned shift = shift_of(p);
    uint32_t old = __atomic_load_n(w, __ATOMIC_RELAXED);
    uint32_t new;

    do {
        new = (old & ~(mask << shift)) | (combine(op, old >> shift & mask, v) & mask) << shift;
    } while (!__atomic_compare_exchange_n(w, &old, new, true, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
    return old >> shift & mask;
}

static bool compare_exchange(volatile void *p, uint32_t *expected, uint32_t v, uint32_t mask)
{
    uint32_t *w = word_of(p);
    unsigned shift = shift_of(p);
    uint32_t old = __atomic_load_n(w, __ATOMIC_RELAXED);

    while ((old >> shift & mask) == *expected) {
        uint32_t new = (old & ~(mask << shift)) | v << shift;

        if (__atomic_compare_exchange_n(w, &old, new, true, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
            return true;
        }
    }
    *expected = old >> shift & mask;
    return false;
}

#define FETCH(bytes, type, word, op)                                                                       \
    type atomic_##word##_##bytes(volatile void *p, type v, int order) NAMED("__atomic_" #word "_" #bytes); \
    type atomic_##word##_##bytes(volatile void *p, type v, int order)                                      \
    {                                                                                                      \
        (void)order;                                                                                       \
        return (type)fetch(p, v, (type)~0u, op);                                                           \
    }

#define ALL(bytes, type)                                                              \
    FETCH(bytes, type, exchange, OP_EXCHANGE)                                         \
    FETCH(bytes, type, fetch_add, OP_ADD)                                             \
    FETCH(bytes, type, fetch_sub, OP_SUB)                                             \
    FETCH(bytes, type, fetch_and, OP_AND)                                             \
    FETCH(bytes, type, fetch_or, OP_OR)                                               \
    FETCH(bytes, type, fetch_xor, OP_XOR)                                             \
    bool atomic_cas_##bytes(volatile void *p, void *expected, type v, int ok, int no) \
        NAMED("__atomic_compare_exchange_" #bytes);                                   \
    bool atomic_cas_##bytes(volatile void *p, void *expected, type v, int ok, int no) \
    {                                                                                 \
        uint32_t was = *(type *)expected;                                             \
        bool done = compare_exchange(p, &was, v, (type)~0u);                          \
                                                                                      \
        (void)ok;                                                                     \
        (void)no;                                                                     \
        *(type *)expected = (type)was;                                                \
        return done;                                                                  \
    }

ALL(1, uint8_t)
ALL(2, uint16_t)
