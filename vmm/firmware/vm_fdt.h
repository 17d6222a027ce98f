// SPDX-License-Identifier: Apache-2.0
//
// The guest's flattened device tree (Devicetree Specification 0.4), made from the ownership plan and what the
// devices say of themselves, so that it cannot disagree with the mappings; or a user's own tree, with memory,
// chosen and the initrd put in. Pure: works on the caller's buffers alone. Any thread.
#pragma once

#include "arch/virt.h"
#include "kernel/lib/status.h"
#include "kernel/lib/types.h"
#include "vmm/config/config.h"
#include "vmm/config/plan.h"
#include "vmm/core/vdev.h"

#define VM_FDT_CAPACITY KIB(64)  // enough for every generated tree (32 devices, 64 vCPUs)
#define VM_FDT_USER_MAX MIB(1)   // a user's tree may have at most so many bytes
#define VM_FDT_PATCH_ROOM KIB(4) // what patching may add to it
#define VM_FDT_SEED_SIZE 40

// One device node.
struct vm_fdt_device {
    uint64_t base, size;
    uint32_t irq; // the plan's number: aarch64 INTID, >= 32; riscv64 source, >= 1
    struct vdev_desc desc;
};

struct vm_fdt_input {
    const struct vm_config *config;
    const struct vm_plan *plan; // gic.version 0 is taken as 3
    const struct vm_fdt_device *devices;
    unsigned device_count;
    uint64_t initrd_base, initrd_size; // size 0: none
    const uint8_t *seed;               // VM_FDT_SEED_SIZE random bytes; NULL: no rng-seed and kaslr-seed
    const char *arch;                  // "riscv64"; NULL: "aarch64"
    struct guest_cpu_desc cpu;         // what the CPUs' nodes say
    uint64_t timebase;                 // ticks per second of the guest's counter
};

// Whether this architecture's guests have device trees.
bool vm_fdt_supports(const char *arch);

// Writes a complete tree to `buf`; *size is its length. E_NOMEM when `capacity` is too small, E_INVAL when
// the input cannot be expressed (an interrupt number that the board does not have, an architecture without
// device trees).
enum status vm_fdt_build(const struct vm_fdt_input *in, void *buf, size_t capacity, size_t *size);

// Completes the user's tree of `*size` bytes in `buf` in place. The tree is hostile input and checked first:
// E_CORRUPT. Its memory nodes are replaced by the plan's; bootargs are replaced when the configuration has a
// command line. E_NOMEM when it needs more than `capacity`, E_UNSUPPORTED for cell counts other than 1 or 2.
enum status vm_fdt_patch(const struct vm_fdt_input *in, void *buf, size_t capacity, size_t *size);

// The kernel command line as the guest sees it: the configuration's, and the console of the board when it
// names none. Always terminated; false when it had to be cut.
bool vm_fdt_cmdline(const struct vm_fdt_input *in, char *out, size_t size);
// The same where there is no device tree: `uart` is what a kernel calls the board's UART, NULL: it is told of no console.
bool vm_cmdline(const struct vm_config *config, const struct vm_plan *plan, const char *uart, char *out,
                size_t size);

// MPIDR affinity of vCPU `index`: Aff0 counts to 15 (GICv3's SGI target list), then Aff1.
static inline uint64_t vm_fdt_cpu_id(unsigned index)
{
    return (index & 0xfu) | (uint64_t)(index >> 4) << 8;
}
