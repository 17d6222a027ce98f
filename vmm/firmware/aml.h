// SPDX-License-Identifier: Apache-2.0
//
// The few words of ACPI machine language that describe devices: names, numbers, packages, resources (ACPI 6.5, chapters 20
// and 6.4). Terms come in the order of the calls; what has a length is opened and closed.
#pragma once

#include "vmm/firmware/table_out.h"

// Four characters, upper case, digits and '_'.
void aml_name(struct table_out *o, const char *name); // Name (NAME, ...): its value follows
void aml_integer(struct table_out *o, uint64_t v);
void aml_string(struct table_out *o, const char *text);
void aml_eisa_id(struct table_out *o, const char *id); // "PNP0501", as EisaId() would

// Each returns what aml_close() wants.
size_t aml_scope(struct table_out *o, const char *path); // "\\_SB_"
size_t aml_device(struct table_out *o, const char *name);
size_t aml_package(struct table_out *o, uint8_t count);
void aml_close(struct table_out *o, size_t opened);

// A buffer of resource descriptors; what is between is resources only.
size_t aml_resources(struct table_out *o);
void aml_resources_end(struct table_out *o, size_t opened);
void aml_io(struct table_out *o, uint16_t port, uint8_t count);     // IO (Decode16, ...)
void aml_irq(struct table_out *o, unsigned irq);                    // IRQNoFlags: ISA, edge, below 16
void aml_memory(struct table_out *o, uint64_t base, uint64_t size); // read and write, fixed
void aml_interrupt(struct table_out *o, uint32_t gsi, bool edge,
                   bool active_low); // of the consumer, not shared
