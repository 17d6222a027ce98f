// SPDX-License-Identifier: Apache-2.0
//
// One access to an emulated register: what an architecture decodes, a bus routes and a device answers, in place.
#pragma once

#include "kernel/lib/types.h"

struct io_access {
    uint64_t offset; // from the region's base
    uint64_t value;  // to write, or read (zero-extended)
    uint8_t size;    // 1 2 4 8
    bool write;
    uint16_t vcpu; // index of the accessing vCPU in its VM
};
