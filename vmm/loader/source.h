// SPDX-License-Identifier: Apache-2.0
//
// Where images come from: memory (embedded in the hypervisor's image) or a file on the host's FAT disk.
#pragma once

#include "kernel/lib/status.h"
#include "vmm/config/config.h"
#include "vmm/loader/image.h"

// `data` must outlive the source.
void source_from_memory(struct image_source *out, const char *name, const void *data, uint64_t size);

// `path` must outlive the source. E_NOENT and the errors of kernel/fs/fs.h.
enum status source_from_fat(struct image_source *out, const char *path);

// Opens one file that `boot` names ("" opens nothing: size 0), in the place that boot->source says. `name` must outlive
// the source. E_NOENT when it is not there.
enum status source_open(struct image_source *out, const struct boot_config *boot, const char *name);
