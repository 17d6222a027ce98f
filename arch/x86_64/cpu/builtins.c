// SPDX-License-Identifier: Apache-2.0
//
// What the compiler may call and libgcc would bring (its versions use SIMD registers), and the stack protector's parts.
#include "kernel/lib/panic.h"
#include "kernel/lib/types.h"

// A constant until there is a seed; read-only from arch_seal_image() on.
uintptr_t __stack_chk_guard __attribute__((section(".ro_after_init"))) = (uintptr_t)0x9E3779B97F4A7C00;
[[gnu::noreturn]] void __stack_chk_fail(void);
int __popcountdi2(int64_t v);

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
