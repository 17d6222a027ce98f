// SPDX-License-Identifier: Apache-2.0
//
// Shared by the files that make and patch device trees; nobody else's business.
#pragma once

#include "kernel/lib/status.h"

// A negative libfdt error as a status.
enum status fdt_status(int error);
