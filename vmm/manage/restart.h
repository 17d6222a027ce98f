// SPDX-License-Identifier: Apache-2.0
//
// When a crashed guest starts again: after a back-off that doubles with each crash, until a limit. Pure.
#pragma once

#include "kernel/lib/types.h"

#define RESTART_FIRST_MS 100
#define RESTART_MAX_MS 10000
#define RESTART_FORGET_MS 60000 // who lived so long starts with a clean slate
#define RESET_MIN_MS 100        // between two starts of a guest that resets itself

struct restart_state {
    unsigned crashes;    // in a row
    uint64_t started_ms; // when the present life began
};

// Notes the start of a life.
void restart_started(struct restart_state *r, uint64_t now_ms);

// A crash at `now_ms`: true when the guest shall start again after *delay_ms; false when it has crashed more than `limit`
// times in a row.
bool restart_after_crash(struct restart_state *r, unsigned limit, uint64_t now_ms, uint64_t *delay_ms);

// How long a guest that resets itself waits, so that a loop of resets does not eat the machine.
uint64_t restart_after_reset(const struct restart_state *r, uint64_t now_ms);
