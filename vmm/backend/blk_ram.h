// SPDX-License-Identifier: Apache-2.0
//
// A disk in memory: over an image embedded in the firmware, or empty.
//
// Written parts are copied first, in chunks of 64 KiB taken from the page allocator at the first write, so an
// image that is only read costs nothing and an empty disk costs what was written to it. Its content lives as
// long as the back end: it survives a restart of the guest, not of the machine.
#pragma once

#include "kernel/lib/status.h"
#include "vmm/backend/backend.h"

// A disk of `size` bytes (what does not fill the last sector is left out). `data` holds its first content, is
// never written and must stay alive; NULL: zeros. `name` becomes the serial number. E_INVAL: less than a
// sector; E_NOMEM.
enum status blk_ram_create(const char *name, const void *data, uint64_t size, bool read_only,
                           struct blk_backend **out);
