// SPDX-License-Identifier: Apache-2.0
//
// How an x86 ELF file says where it wants to be entered in 32-bit mode without firmware: Xen's note XEN_ELFNOTE_PHYS32_ENTRY
// (docs/misc/pvh.pandoc; xen/include/public/elfnote.h).
#pragma once

#include "vmm/loader/image.h"

// Looks through the notes in [off, off + size) of the file, a PT_NOTE segment. True when the entry is there: a physical address
// below 4 GiB. Damaged notes are as good as none. Pure.
bool image_pvh_entry(const struct image_source *src, uint64_t off, uint64_t size, uint64_t *entry);
