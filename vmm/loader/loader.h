// SPDX-License-Identifier: Apache-2.0
//
// Fills a VM's RAM before its first vCPU runs: kernel, initrd, device tree.
#pragma once

#include "arch/vcpu.h"
#include "kernel/lib/status.h"
#include "kernel/lib/types.h"
#include "vmm/core/vm.h"
#include "vmm/firmware/vm_fdt.h"
#include "vmm/loader/image.h"

// The files; size 0 means that there is none (a kernel there must be). source.h opens them.
struct loader_source {
    struct image_source kernel, initrd, dtb;
    const char *arch;    // "aarch64"
    const uint8_t *seed; // VM_FDT_SEED_SIZE random bytes for the guest, or NULL
};

// Opens the files that the VM's configuration names. A missing one is logged and summarised in vm->fault; E_NOENT and
// the like. The names are those of the configuration, which must outlive `out`. `arch` and `seed` are left alone.
enum status loader_open(struct vm *vm, struct loader_source *out);

// Loads everything into vm->gmem, whose RAM is mapped and zeroed, and says where the boot vCPU starts. vm->plan is
// complete (gic.version resolved) and vm->devices hold what the device tree shall describe. Caches are clean
// afterwards. A bad file is the configuration's fault: logged with the VM and the file, summarised in vm->fault, and
// returned; the VM must not be started then. Worker threads; may take long.
enum status vm_load(struct vm *vm, const struct loader_source *src, struct vcpu_entry *entry);
