// SPDX-License-Identifier: Apache-2.0
//
// See entry_modes.h. Linux: Documentation/arch/x86/boot.rst, "64-bit Boot Protocol"; PVH: docs/misc/pvh.pandoc of Xen;
// real mode: Intel SDM vol. 3A, 9.4 (SIPI).
#include "arch/x86_64/virt/entry_modes.h"

#include "arch/x86_64/virt/virt_local.h"

#define ATTR_CODE64 0xA9B // L, G
#define ATTR_CODE32 0xC9B // D, G
#define ATTR_DATA 0xC93
#define ATTR_TSS 0x8B
#define MULTIBOOT_LOADED 0x2BADB002u // PVH leaves eax undefined
#define LINUX_CS 0x10
#define LINUX_DS 0x18

static void flat_segments(struct arch_vcpu *av, uint16_t code, uint16_t code_selector, uint16_t data_selector)
{
    static const enum x86_segment data[] = {X86_ES, X86_SS, X86_DS, X86_FS, X86_GS};
    const struct x86_seg tr = {.limit = 0x67, .attr = ATTR_TSS};
    struct x86_seg s = {.limit = UINT32_MAX, .selector = code_selector, .attr = code};

    x86_ops->set_segment(av, X86_CS, &s);
    s.selector = data_selector;
    s.attr = ATTR_DATA;
    for (unsigned i = 0; i < ARRAY_SIZE(data); i++) {
        x86_ops->set_segment(av, data[i], &s);
    }
    x86_ops->set_segment(av, X86_TR, &tr);
}

static void enter_linux64(struct arch_vcpu *av, const struct vcpu_entry *entry)
{
    flat_segments(av, ATTR_CODE64, LINUX_CS, LINUX_DS);
    x86_ops->set(av, X86_CR3, X86_BOOT_TABLES);
    x86_ops->set(av, X86_CR4, CR4_PAE);
    x86_ops->set(av, X86_EFER, EFER_LME | EFER_LMA);
    x86_ops->set(av, X86_CR0, CR0_PE | CR0_ET | CR0_NE | CR0_PG);
    av->r[X86_RSI] = entry->arg;
}

static void enter_flat32(struct arch_vcpu *av, const struct vcpu_entry *entry)
{
    flat_segments(av, ATTR_CODE32, LINUX_CS, LINUX_DS);
    x86_ops->set(av, X86_CR0, CR0_PE | CR0_ET | CR0_NE);
    av->r[X86_RAX] = MULTIBOOT_LOADED;
    av->r[X86_RBX] = entry->arg;
}

static void enter_real(struct arch_vcpu *av, const struct vcpu_entry *entry)
{
    const struct x86_seg cs = {
        .base = entry->pc, .limit = 0xFFFF, .selector = (uint16_t)(entry->pc >> 4), .attr = 0x9B};

    x86_ops->set_segment(av, X86_CS, &cs);
}

void x86_enter_mode(struct arch_vcpu *av, const struct vcpu_entry *entry)
{
    static void (*const modes[])(struct arch_vcpu * av, const struct vcpu_entry *entry) = {
        [X86_MODE_LINUX64] = enter_linux64,
        [X86_MODE_FLAT32] = enter_flat32,
        [X86_MODE_REAL] = enter_real,
    };

    x86_ops->set(av, X86_RIP, entry->mode == X86_MODE_REAL ? 0 : entry->pc);
    modes[entry->mode](av, entry);
}
