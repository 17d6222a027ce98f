// SPDX-License-Identifier: Apache-2.0
//
// MOV to and from CR8 as bytes (AMD APM vol. 3, "MOV CRn"): AMD's CPUs make the exit and need not tell the register. Pure.
#pragma once

#include "arch/x86_64/virt/x86_decode.h"

struct x86_priority {
    bool write;
    uint8_t reg; // the general register, by its number
    uint8_t length;
};

// False: another instruction.
bool x86_decode_priority(const uint8_t bytes[X86_INSN_MAX], struct x86_priority *out);
