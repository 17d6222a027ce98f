// SPDX-License-Identifier: Apache-2.0
//
// A constant-bandwidth server in its hard form (Abeni and Buttazzo, 1998): at most `budget` in any `period`, and what a
// sleeper has left is worth no more than its share of the time that is left.
#include "kernel/sched/sched.h"

void server_refill(struct server *s, uint64_t now)
{
    s->left = s->budget;
    s->end = now + s->period;
}

void server_wake(struct server *s, uint64_t now)
{
    // left / (end - now) > budget / period would be more bandwidth than it has.
    if (s->budget != 0 && (now >= s->end || s->left * s->period > (s->end - now) * s->budget)) {
        server_refill(s, now);
    }
}

bool server_charge(struct server *s, uint64_t ticks)
{
    if (s->budget == 0) {
        return false;
    }
    s->left = s->left > ticks ? s->left - ticks : 0;
    return s->left == 0;
}
