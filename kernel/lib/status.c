// SPDX-License-Identifier: Apache-2.0
//
// Names of the error codes.
#include "kernel/lib/status.h"

#include "kernel/lib/types.h"

static const char *const names[STATUS_COUNT] = {
    [OK] = "ok",
    [E_INVAL] = "invalid argument",
    [E_CONFIG] = "bad configuration",
    [E_STATE] = "wrong state",
    [E_NOMEM] = "out of memory",
    [E_BUSY] = "in use",
    [E_EXISTS] = "already taken",
    [E_NOENT] = "not found",
    [E_RANGE] = "out of range",
    [E_OVERFLOW] = "arithmetic overflow",
    [E_UNSUPPORTED] = "not supported",
    [E_IO] = "input/output error",
    [E_TIMEOUT] = "timed out",
    [E_PARTIAL] = "done in part",
    [E_PERM] = "not permitted",
    [E_CORRUPT] = "corrupt data",
};

const char *status_name(enum status s)
{
    return (unsigned)s < STATUS_COUNT ? names[s] : "unknown error";
}
