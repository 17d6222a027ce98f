// SPDX-License-Identifier: Apache-2.0
//
// What an exit leaves in the VMCS (Intel SDM vol. 3C, 24.9), and that in neutral words. Pure.
#pragma once

#include "arch/x86_64/virt/ops.h"

struct vmx_exit {
    uint32_t reason, length;
    uint64_t qualification;
    uint64_t gpa;   // of an EPT violation or APIC access
    bool vectoring; // the delivery of an event did it
};

void vmx_decode(const struct vmx_exit *in, struct x86_exit *out);
