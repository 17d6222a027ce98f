// SPDX-License-Identifier: Apache-2.0
//
// The per-VM part: what goes into VTTBR_EL2 and CNTVOFF_EL2.
#pragma once

#include "kernel/lib/types.h"

struct arch_vm {
    uint64_t vttbr;
    uint64_t cntvoff; // virtual count = physical count - cntvoff
    bool no_icc;      // ICC_* registers do not exist for the guest (GICv2)
};
