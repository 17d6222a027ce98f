// SPDX-License-Identifier: Apache-2.0
//
// Puts the contract suite into the image's self-test table.
#include "kernel/selftest.h"
#include "tests/contract/contract.h"

static const struct selftest contract = {.run = contract_run};
SELFTEST_DEFINE(contract);
