// SPDX-License-Identifier: Apache-2.0
//
// The MP configuration table (Intel MultiProcessor Specification 1.4, chapter 4), for guests that know no ACPI; for
// vmm/firmware alone.
#pragma once

#include "vmm/firmware/table_out.h"

struct mp_input {
    unsigned cpus; // at most 255
    uint64_t lapic, ioapic;
};

// Writes the table; it will lie at guest physical `base` + its place in the buffer. `pointer` gets the 16 bytes of the floating
// pointer structure.
void mp_table_build(struct table_out *o, const struct mp_input *in, uint64_t base, uint8_t *pointer);
