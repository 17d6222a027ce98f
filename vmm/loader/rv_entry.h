// SPDX-License-Identifier: Apache-2.0
//
// What a riscv64 kernel does first tells which privilege mode it was built for: a kernel for M-mode (U-Boot without
// "smode", xv6, Zephyr's default) reads mhartid or writes mstatus within its first instructions, and cannot run in a guest.
#pragma once

#include "vmm/loader/image.h"

// Follows the instructions from the entry point at `off` of the file for a while. E_UNSUPPORTED with the reason when one
// of them belongs to M-mode. Pure.
enum status rv_entry_check(const struct image_source *src, uint64_t off, struct load_error *error);

// Can a program begin with these two bytes? (All zeroes and all ones are illegal for good.)
static inline bool rv_may_begin_with(uint16_t first)
{
    return first != 0 && first != 0xffff;
}
