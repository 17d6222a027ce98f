// SPDX-License-Identifier: Apache-2.0
//
// See restart.h.
#include "vmm/manage/restart.h"

void restart_started(struct restart_state *r, uint64_t now_ms)
{
    r->started_ms = now_ms;
}

bool restart_after_crash(struct restart_state *r, unsigned limit, uint64_t now_ms, uint64_t *delay_ms)
{
    uint64_t delay = RESTART_FIRST_MS;

    if (now_ms - r->started_ms >= RESTART_FORGET_MS) {
        r->crashes = 0;
    }
    if (r->crashes >= limit) {
        return false;
    }
    for (unsigned i = 0; i < r->crashes && delay < RESTART_MAX_MS; i++) {
        delay *= 2;
    }
    r->crashes++;
    *delay_ms = min_u64(delay, RESTART_MAX_MS);
    return true;
}

uint64_t restart_after_reset(const struct restart_state *r, uint64_t now_ms)
{
    uint64_t lived = now_ms - r->started_ms;

    return lived < RESET_MIN_MS ? RESET_MIN_MS - lived : 0;
}
