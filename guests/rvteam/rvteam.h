// SPDX-License-Identifier: Apache-2.0
//
// The cases: true when what they saw is what a guest may see.
#pragma once

#include "guests/lib/guest.h"

bool case_base(void);
bool case_harts(void);
bool case_hsm(void);
bool case_suspend(void);
bool case_steal(void);
bool case_console(void);
bool case_legacy(void);
bool case_unknown(void);
bool case_csr_read(void);
bool case_csr_write(void);
bool case_instructions(void);
bool case_memory(void);
