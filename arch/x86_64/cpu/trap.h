// SPDX-License-Identifier: Apache-2.0
//
// What cpu/vectors.S stores of the interrupted code, lowest address first.
#pragma once

#include "kernel/lib/types.h"

struct host_frame {
    uint64_t frame_rbp, frame_rip; // a frame record for backtraces
    uint64_t r11, r10, r9, r8, rdi, rsi, rdx, rcx, rax;
    uint64_t vector, error;
    uint64_t rip, cs, rflags, rsp, ss;
};

void trap_host(struct host_frame *f);
