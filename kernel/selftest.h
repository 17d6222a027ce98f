// SPDX-License-Identifier: Apache-2.0
//
// The self-test: checks that run inside the image instead of guests. They exist only in images built with SELFTEST=1,
// whose objects put them into a linker table.
#pragma once

#include "kernel/lib/types.h"

struct selftest {
    // Reports each check once and returns the number of failures.
    unsigned (*run)(void (*report)(const char *name, bool ok));
};

#define SELFTEST_DEFINE(ident) \
    static const struct selftest *const ident##_entry __attribute__((used, section("selftests"))) = &(ident)

// Runs them all in a worker thread and powers off; false when there are none and the machine is to run guests.
bool selftest_start(void);
