// SPDX-License-Identifier: Apache-2.0
//
// MMIO by instructions that the syndrome does not describe: write-back, pairs, SIMD and the like.
#pragma once

#include "arch/aarch64/virt/exit.h"

// Fetches the instruction at the guest's pc through its own translation, decodes and performs it. Needs a full frame.
enum exit_action mmio_by_decoding(struct guest_frame *f, uint64_t esr, gpa_t where, uint64_t far);
