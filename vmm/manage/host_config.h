// SPDX-License-Identifier: Apache-2.0
//
// Where the configuration comes from at boot: the TOML texts in the image, or those on the FAT disk instead.
#pragma once

#include "kernel/lib/status.h"
#include "vmm/config/config.h"

// Reads, checks and reports every mistake on the log. The configuration is usable even then: VMs with mistakes are marked
// refused. NULL when there is nothing at all to read or no memory. Lives for ever. Worker thread.
const struct config *host_config_read(void);
