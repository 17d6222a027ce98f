// SPDX-License-Identifier: Apache-2.0
//
// Feeds the virtual PLIC random register accesses, lines, triggers, flushes, resets and saved states.
// Whatever comes, no source may be pending and in flight at once, a claim names an existing source, and a
// vCPU's line tells the truth.
#include <stdlib.h>

#include "tests/unit/vmm/irqchip/plic_bench.h"

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
    static const uint32_t places[] = {0, 0x1000, 0x2000, 0x200000};
    unsigned kind = byte(in);
    uint64_t off =
        places[kind & 3] + (kind & 4 ? (uint64_t)byte(in) << 12 : 0) + (byte(in) << (kind & 8 ? 2 : 0));
    struct io_access a = {.size = (uint8_t)(kind & 0x10 ? 4 : 1u << (kind >> 5 & 3)),
                          .write = (kind & 0x80) != 0};

    a.value = a.write ? word(in) : 0;
    if (off + a.size <= PLIC_SIZE) {
        demand(plic_access(vcpu, off, &a) != IO_UNCLAIMED);
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

static void check(void)
{
    for (unsigned h = 0; h < HARTS; h++) {
        demand(plic_output(h) == bench.chip->ops->pending(bench.chip, h));
    }
}

static void step(struct input *in)
{
    unsigned op = byte(in);
    unsigned vcpu = (op >> 4) % HARTS;

    switch (op & 15) {
    case 0:
        plic_line(byte(in), byte(in) & 1);
        break;
    case 1:
        demand(plic_claim(vcpu) < VPLIC_SOURCES);
        break;
    case 2:
        plic_complete(vcpu, byte(in));
        break;
    case 3:
        vplic_set_edge(bench.chip, byte(in), byte(in) & 1);
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
    case 6:
        plic_enable(vcpu, byte(in) % VPLIC_SOURCES, byte(in));
        break;
    default:
        do_access(in, vcpu);
    }
    check();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};

    demand(plic_start(HARTS));
    while (in.left > 0) {
        step(&in);
    }
    plic_stop();
    return 0;
}
