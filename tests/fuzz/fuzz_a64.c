// SPDX-License-Identifier: Apache-2.0
//
// The A64 decoder on any word: no undefined behaviour, and the promises of its header hold.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "arch/aarch64/virt/a64_decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (size_t at = 0; at + 4 <= size; at += 4) {
        uint32_t insn;
        struct a64_access a;

        memcpy(&insn, data + at, sizeof(insn));
        a = a64_decode(insn);
        require((unsigned)a.kind < A64_KIND_COUNT && a64_kind_name(a.kind) != NULL);
        if (a.kind != A64_LOAD && a.kind != A64_STORE) {
            continue;
        }
        require(is_power_of_two(a.size) && a.size <= (a.simd ? 16 : 8));
        require(a.count == 1 || a.count == 2);
        require(a.reg[0] < 32 && a.reg[1] < 32 && a.base < 32);
        require(a.write_back || a.amount == 0);
        require(!a.simd || (!a.sign_extend && !a.dest64));
    }
    return 0;
}
