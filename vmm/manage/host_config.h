// SPDX-License-Identifier: Apache-2.0
//
// Where configurations come from: at boot the TOML texts in the image, or those on the FAT disk instead; later a file of
// the FAT disk, read and checked by the same code.
#pragma once

#include "kernel/lib/status.h"
#include "vmm/config/config.h"

// Reads, checks and reports every mistake on the log. The configuration is usable even then: VMs with mistakes are marked
// refused. NULL when there is nothing at all to read or no memory. Lives for ever. Worker thread.
const struct config *host_config_read(void);

// A configuration at run time, checked also against the `count` VMs that live and the memory that is free now; [host] is
// checked and means nothing. E_CONFIG when there is any mistake, all of which are on the log; E_NOENT, E_IO, E_NOMEM. Worker
// thread.
enum status host_config_file(const char *path, const struct vm_config *const *living, unsigned count,
                             struct config **out);
enum status host_config_text(const char *name, const char *text, size_t len,
                             const struct vm_config *const *living, unsigned count, struct config **out);
void host_config_free(struct config *config);
