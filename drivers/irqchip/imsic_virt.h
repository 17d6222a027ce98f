// SPDX-License-Identifier: Apache-2.0
//
// The host's IMSICs as the virtual one sees them: guest interrupt files, pages of which can be given to a
// guest whole.
#pragma once

#include "kernel/lib/types.h"

// Guest files that each hart's page range has room for; fewer may exist (GEILEN says). 0 without an IMSIC.
unsigned imsic_guest_files(void);

// Identities of each file; 0 without an IMSIC.
unsigned imsic_ids(void);

// The page of guest file `file` (from 1) of a CPU that is up; 0 when there is none.
hpa_t imsic_guest_file(unsigned cpu, unsigned file);
