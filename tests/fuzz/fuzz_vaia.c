// SPDX-License-Identifier: Apache-2.0
//
// Feeds the virtual AIA random register accesses, CSR accesses, messages, wires, resets and saved states.
// Whatever comes, a claim names an existing identity and a vCPU's line tells the truth.
#include <stdlib.h>

#include "tests/unit/vmm/irqchip/aia_bench.h"

#define HARTS 3u

struct input {
    const uint8_t *data;
    size_t left;
};

static unsigned byte(struct input *in)
{
    if (in->left == 0) {
        return 0;
    }
    in->left--;
    return *in->data++;
}

static uint32_t word(struct input *in)
{
    uint32_t v = 0;

    for (unsigned i = 0; i < 4; i++) {
        v = v << 8 | byte(in);
    }
    return v;
}

static void demand(bool ok)
{
    if (!ok) {
        abort();
    }
}

static void do_access(struct input *in, unsigned vcpu)
{
    unsigned kind = byte(in);
    uint64_t off = (uint64_t)byte(in) << 8 | byte(in);
    struct io_access a = {.size = (uint8_t)(kind & 2 ? 4 : 1u << (kind >> 2 & 3)),
                          .write = (kind & 0x80) != 0};
    uint64_t size = kind & 1 ? VAIA_APLIC_SIZE : HARTS * VAIA_FILE_SIZE;

    a.value = a.write ? word(in) : 0;
    off = (kind & 2 ? off & ~UINT64_C(3) : off) % size;
    if (off + a.size <= size) {
        demand(aia_access(vcpu, (kind & 1 ? APLIC : IMSIC) + off, &a) != IO_UNCLAIMED);
    }
}

static void do_state(struct input *in)
{
    uint32_t size = bench.chip->ops->save(bench.chip, NULL, 0);
    uint8_t *buf = malloc(size);

    demand(buf && bench.chip->ops->save(bench.chip, buf, size) == size);
    for (unsigned n = byte(in) % 8; n > 0; n--) {
        unsigned at = byte(in) << 8 | byte(in);

        buf[at % size] = (uint8_t)byte(in);
    }
    (void)!bench.chip->ops->restore(bench.chip, buf, size);
    free(buf);
}

static void step(struct input *in)
{
    unsigned op = byte(in);
    unsigned vcpu = (op >> 4) % HARTS;
    uint64_t old;

    switch (op & 7) {
    case 0:
        bench.chip->ops->set_line(bench.chip, byte(in), byte(in) & 1);
        break;
    case 1:
        demand(aia_claim(vcpu) < VAIA_IDS);
        break;
    case 2:
        (void)bench.chip->ops->sysreg(bench.chip, vcpu, VAIA_SYSREG(VAIA_CSR_SIREG, byte(in)), byte(in) & 1,
                                      (uint64_t)word(in) << 32 | word(in), word(in), &old);
        break;
    case 3:
        (void)!bench.chip->ops->send_msi(bench.chip, 0, IMSIC + (uint64_t)byte(in) * 0x800, word(in));
        break;
    case 4:
        bench.chip->ops->reset(bench.chip);
        for (unsigned h = 0; h < HARTS; h++) {
            bench.chip->ops->flush(bench.chip, h); // a VM's reset starts its vCPUs afresh
        }
        break;
    case 5:
        do_state(in);
        break;
    default:
        do_access(in, vcpu);
    }
    for (unsigned h = 0; h < HARTS; h++) {
        demand(aia_output(h) == bench.chip->ops->pending(bench.chip, h));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};

    demand(aia_start(HARTS));
    while (in.left > 0) {
        step(&in);
    }
    aia_stop();
    return 0;
}
