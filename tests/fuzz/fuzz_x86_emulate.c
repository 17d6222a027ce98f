// SPDX-License-Identifier: Apache-2.0
//
// Any instruction with any registers on a bus that answers or refuses as the input says: no undefined behaviour, bounded
// work, and one that is not known touches nothing.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "arch/x86_64/virt/x86_emulate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct world {
    uint64_t answers; // a bit for each access: shall it work?
    unsigned accesses;
};

static void require(bool ok)
{
    if (!ok) {
        abort();
    }
}

static bool answer(struct world *w)
{
    return w->answers >> w->accesses++ % 64 & 1;
}

static bool address(void *ctx, const struct x86_operand_at *at, uint64_t *linear)
{
    require(at->segment < 6 && at->size >= 1 && at->size <= 16 && is_power_of_two(at->size));
    require(at->mode == 8 || at->offset <= UINT32_MAX);
    *linear = at->offset + at->segment * UINT64_C(0x123456789A);
    return answer(ctx);
}

static bool read_memory(void *ctx, uint64_t linear, unsigned size, uint64_t *out)
{
    *out = linear & MASK64(0, 8 * size);
    return answer(ctx);
}

static bool allowed(void *ctx, uint64_t linear, unsigned size, bool write)
{
    (void)linear;
    (void)write;
    require(is_power_of_two(size) && size <= 8);
    return answer(ctx);
}

static bool write_memory(void *ctx, uint64_t linear, unsigned size, uint64_t value)
{
    require((value & ~MASK64(0, 8 * size)) == 0);
    return allowed(ctx, linear, size, true);
}

static bool port(void *ctx, uint16_t number, unsigned size, bool write, uint32_t *value)
{
    require(is_power_of_two(size) && size <= 4);
    *value = write ? *value : (uint32_t)(number & MASK64(0, 8 * size));
    return answer(ctx);
}

static bool vector(void *ctx, unsigned reg, bool write, uint64_t v[2])
{
    require(reg < 16);
    v[0] = write ? v[0] : reg;
    v[1] = write ? v[1] : ~v[0];
    return answer(ctx);
}

static const struct x86_bus bus = {address, read_memory, write_memory, allowed, port, vector};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t r[16] = {0}, before[16];
    struct world w = {0};
    struct x86_emulation e = {.bus = &bus, .ctx = &w, .r = r};
    struct x86_insn in;
    struct x86_form form;
    unsigned mode;

    if (size < 1 + 8 + sizeof(r) || data[0] > 2) {
        return 0;
    }
    mode = 2u << data[0];
    memcpy(&w.answers, data + 1, sizeof(w.answers));
    memcpy(r, data + 9, sizeof(r));
    e.flags = r[0] ^ r[1];
    e.stack_size = (uint8_t)mode;
    if (x86_decode(data + 9 + sizeof(r), (unsigned)(size - 9 - sizeof(r)), mode, &in) != X86_DECODED) {
        return 0;
    }
    form = x86_find_form(&in);
    memcpy(before, r, sizeof(r));
    if (x86_emulate(&e, &in, &form) == X86_EMULATE_UNKNOWN) {
        require(w.accesses == 0 && memcmp(before, r, sizeof(r)) == 0);
    }
    require(w.accesses <= 6 * X86_STRING_BATCH);
    return 0;
}
