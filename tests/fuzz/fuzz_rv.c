// SPDX-License-Identifier: Apache-2.0
//
// The RISC-V decoder on any word, plain and as htinst: no undefined behaviour, and the promises of its header hold.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "arch/riscv64/virt/rv_decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok) {
        abort();
    }
}

static void check(struct rv_access a)
{
    require((unsigned)a.kind < RV_KIND_COUNT && (a.length == 2 || a.length == 4));
    if (a.kind == RV_LOAD || a.kind == RV_STORE) {
        require(is_power_of_two(a.size) && a.size <= 8 && a.reg < 32);
        require(!a.sign_extend || (a.kind == RV_LOAD && !a.fp && a.size < 8));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (size_t at = 0; at + 8 <= size; at += 8) {
        uint64_t word;

        memcpy(&word, data + at, sizeof(word));
        check(rv_decode((uint32_t)word));
        check(rv_decode((uint32_t)(word >> 32)));
        check(rv_decode_htinst(word));
        check(rv_decode_htinst((uint32_t)word));
    }
    return 0;
}
