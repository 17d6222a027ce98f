// SPDX-License-Identifier: Apache-2.0
//
// What the compiler may call and libgcc would bring (which is built for another calling convention), and the stack
// protector's parts.
#include "kernel/lib/panic.h"
#include "kernel/lib/types.h"

uintptr_t __stack_chk_guard = (uintptr_t)0x9E3779B97F4A7C15;
[[gnu::noreturn]] void __stack_chk_fail(void);
int __popcountdi2(int64_t v);
int __clzdi2(int64_t v);
int __ctzdi2(int64_t v);
uint64_t __bswapdi2(uint64_t v);
uint32_t __bswapsi2(uint32_t v);

void __stack_chk_fail(void)
{
    panic("stack overwritten");
}

int __popcountdi2(int64_t v)
{
    uint64_t x = (uint64_t)v;

    x -= (x >> 1) & 0x5555555555555555;
    x = (x & 0x3333333333333333) + ((x >> 2) & 0x3333333333333333);
    x = (x + (x >> 4)) & 0x0F0F0F0F0F0F0F0F;
    return (int)((x * 0x0101010101010101) >> 56);
}

// Undefined for 0, as the builtins are.
int __clzdi2(int64_t v)
{
    static const uint8_t of_nibble[16] = {4, 3, 2, 2, 1, 1, 1, 1};
    uint64_t x = (uint64_t)v;
    int n = 0;

#pragma GCC unroll 4
    for (unsigned step = 32; step >= 4; step /= 2) {
        if (!(x >> (64 - step))) {
            n += (int)step;
            x <<= step;
        }
    }
    return n + of_nibble[x >> 60];
}

int __ctzdi2(int64_t v)
{
    uint64_t x = (uint64_t)v;

    return __popcountdi2((int64_t)((x & (0 - x)) - 1));
}

uint32_t __bswapsi2(uint32_t v)
{
    v = (v & 0x00FF00FF) << 8 | (v >> 8 & 0x00FF00FF);
    return v << 16 | v >> 16;
}

uint64_t __bswapdi2(uint64_t v)
{
    v = (v & 0x00FF00FF00FF00FF) << 8 | (v >> 8 & 0x00FF00FF00FF00FF);
    v = (v & 0x0000FFFF0000FFFF) << 16 | (v >> 16 & 0x0000FFFF0000FFFF);
    return v << 32 | v >> 32;
}
