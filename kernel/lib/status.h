// SPDX-License-Identifier: Apache-2.0
//
// The one error type. OK is zero; every function that can fail returns it and the compiler refuses to drop it.
#pragma once

// clang-format 14 does not know an attribute here.
// clang-format off
enum [[nodiscard]] status {
    OK = 0,
    E_INVAL,       // an argument makes no sense
    E_CONFIG,      // the configuration says something impossible
    E_STATE,       // not in this state
    E_NOMEM,       // out of memory
    E_BUSY,        // the resource is in use
    E_EXISTS,      // overlaps or duplicates something that is there
    E_NOENT,       // no such object
    E_RANGE,       // outside the object
    E_OVERFLOW,    // the arithmetic wraps
    E_UNSUPPORTED, // not on this machine, or not implemented for this input
    E_IO,          // a device or medium failed
    E_TIMEOUT,     // no answer in time
    E_PARTIAL,     // done in part only
    E_PERM,        // not allowed
    E_CORRUPT,     // the data contradict their own format
    STATUS_COUNT
};
// clang-format on

// A short lower-case English name, such as "out of memory"; never NULL.
const char *status_name(enum status s);
