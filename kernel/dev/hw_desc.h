// SPDX-License-Identifier: Apache-2.0
//
// What a driver matches on: one piece of hardware as an enumerator (FDT, ACPI, PCI) found it.
#pragma once

#include "kernel/lib/status.h"
#include "kernel/lib/types.h"

#define HW_IDS_MAX 4
#define HW_REGS_MAX 8
#define HW_IRQS_MAX 4

struct hw_irq {
    unsigned irq; // number of the root controller
    bool level;
};

// riscv64: source n of the external controller (PLIC, APLIC) has this number + n at the root.
#define HW_RISCV_SOURCE 32u

// x86_64: global system interrupt n has this number + n.
#define HW_ACPI_GSI 16u

struct pci_function; // drivers/pci/pci.h

struct hw_desc {
    const char *name;            // the enumerator's own name for it, for messages
    const char *ids[HW_IDS_MAX]; // FDT "compatible" strings, ACPI HIDs, "pci:vvvv:dddd", "pci:class:ccss"
    unsigned id_count;
    struct {
        hpa_t base; // or the first I/O port
        uint64_t size;
        bool port;
    } regs[HW_REGS_MAX];
    unsigned reg_count;
    struct hw_irq irqs[HW_IRQS_MAX];
    unsigned irq_count;
    bool is_console; // stdout-path names it
    int fw_node;     // the enumerator's own handle, for hw_prop_*() only; negative when there is none
    const struct pci_function
        *pci; // on a PCI bus: its drivers find registers and interrupts by this; else NULL
};

// Order in which drivers are probed.
enum driver_class {
    DRIVER_IRQCHIP,
    DRIVER_CONSOLE,
    DRIVER_DEVICE
};

struct driver {
    const char *name;
    enum driver_class class;
    const char *const *ids; // NULL-terminated
    // OK: taken. E_UNSUPPORTED: not this one after all. Anything else is reported. Boot CPU, interrupts
    // masked.
    enum status (*probe)(const struct hw_desc *hw);
};

// Drivers announce themselves through a linker-section table.
#define DRIVER_DEFINE(ident) \
    static const struct driver *const ident##_entry __attribute__((used, section("drivers"))) = &(ident)

// Offers every piece of hardware to the drivers of one class, in the enumerator's order.
void dev_probe(enum driver_class class);

// The registered list of hardware; filled by the enumerator (kernel/dev/fdt_enum.c) on the boot CPU. hw_add()
// copies; pointers from hw_get() stay valid. E_NOMEM.
unsigned hw_count(void);
const struct hw_desc *hw_get(unsigned i);
enum status hw_add(const struct hw_desc *hw);

// A property that the neutral fields do not carry, as one 32-bit number or (from one or two cells) a 64-bit
// one. False when the enumerator has no such property or it has another shape.
bool hw_prop_u32(const struct hw_desc *hw, const char *name, uint32_t *out);
bool hw_prop_u64(const struct hw_desc *hw, const char *name, uint64_t *out);

// riscv64: the i-th interrupt that a controller itself raises ("interrupts-extended"), when all of them go to harts' own
// controllers. False beyond the last one, and when it is not so.
struct hw_cpu_irq {
    uint64_t cpu_hw_id;
    uint32_t irq; // by cause; UINT32_MAX where nothing is wired
};
bool hw_cpu_irq(const struct hw_desc *hw, unsigned i, struct hw_cpu_irq *out);
