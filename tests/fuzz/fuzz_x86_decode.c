// SPDX-License-Identifier: Apache-2.0
//
// The x86 decoder on any bytes: none read beyond those given, the promises of its header hold, and fewer bytes never decode
// as something else.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "arch/x86_64/virt/x86_decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok) {
        abort();
    }
}

static bool is_size(unsigned v)
{
    return v == 2 || v == 4 || v == 8;
}

static void check_fields(const struct x86_insn *in, size_t size)
{
    require(in->length >= 1 && in->length <= X86_INSN_MAX && in->length <= size);
    require(in->map < X86_MAP_COUNT && is_size(in->operand_size) && is_size(in->address_size));
    require(in->segment < 6 && in->immediate_size <= 8 && in->mod < 4 && in->reg < 16 && in->rm < 16);
    require((in->base < 16 || in->base == X86_NO_REG) && (in->index < 16 || in->index == X86_NO_REG));
    require(is_power_of_two(in->scale) && in->scale <= 8);
    require(in->mode == 8 || (in->rex == 0 && !in->rip_relative && in->base != 8));
    require(!in->memory || in->modrm);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t modes[] = {2, 4, 8};

    for (unsigned m = 0; m < sizeof(modes); m++) {
        struct x86_insn in, again;
        enum x86_decode_result r = x86_decode(data, (unsigned)size, modes[m], &in);

        require(x86_decode(data, (unsigned)size, modes[m], &again) == r);
        if (r != X86_DECODED) {
            require(r == X86_DECODE_UNDEFINED || size < X86_INSN_MAX);
            continue;
        }
        check_fields(&in, size);
        // An allocation of exactly the instruction: the sanitizer sees a byte read too many.
        uint8_t *exact = malloc(in.length);

        require(exact != NULL);
        memcpy(exact, data, in.length);
        require(x86_decode(exact, in.length, modes[m], &again) == X86_DECODED);
        require(memcmp(&in, &again, sizeof(in)) == 0);
        require(x86_decode(exact, in.length - 1u, modes[m], &again) == X86_DECODE_SHORT);
        free(exact);
    }
    return 0;
}
