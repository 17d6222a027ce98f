// SPDX-License-Identifier: Apache-2.0
//
// TRNG 1.0 (Arm DEN0098, 2) and paravirtualised time (Arm DEN0057, 4).
#include "arch/aarch64/virt/smccc_services.h"

#include <string.h>

#include "kernel/dev/random.h"

#define TRNG_VERSION 0x84000050u
#define TRNG_FEATURES 0x84000051u
#define TRNG_GET_UUID 0x84000052u
#define TRNG_RND32 0x84000053u
#define TRNG_RND64 0xC4000053u
#define TRNG_VERSION_1_0 0x10000
#define TRNG_WORDS 3u // of results
#define PV_TIME_FEATURES 0xC5000020u
#define PV_TIME_ST 0xC5000021u

#define SUCCESS 0
#define NOT_SUPPORTED (-1)
#define INVALID_PARAMETERS (-2)

static const uint32_t trng_uuid[4] = {0x6C1D5A27, 0x9E3B4F04, 0xA8D1720C, 0x53EE96B2}; // this generator's own

bool smccc_service_known(uint32_t function)
{
    switch (function) {
    case TRNG_VERSION:
    case TRNG_FEATURES:
    case TRNG_GET_UUID:
    case TRNG_RND32:
    case TRNG_RND64:
        return random_seeded(); // what an outsider could guess is no entropy
    case PV_TIME_FEATURES:
    case PV_TIME_ST:
        return true;
    default:
        return false;
    }
}

static void answer(struct guest_frame *f, int64_t result)
{
    f->x[0] = (uint64_t)result;
    count_done(f);
}

// `bits` random ones in `width`-bit registers: the lowest in x3, then x2, then x1; the rest is zero.
static void trng_rnd(struct guest_frame *f, uint64_t bits, unsigned width)
{
    uint64_t words[TRNG_WORDS];

    f->x[1] = f->x[2] = f->x[3] = 0;
    if (bits == 0 || bits > TRNG_WORDS * width) {
        answer(f, INVALID_PARAMETERS);
        return;
    }
    random_bytes(words, sizeof(words));
    for (unsigned i = 0; i < TRNG_WORDS && bits > 0; i++) {
        unsigned n = bits < width ? (unsigned)bits : width;

        // cppcheck-suppress shiftTooManyBits  // bits > 0, so n is 1..64
        f->x[TRNG_WORDS - i] = words[i] & MASK64(0, n);
        bits -= n;
    }
    memset(words, 0, sizeof(words));
    answer(f, SUCCESS);
}

static void trng_get_uuid(struct guest_frame *f)
{
    count_done(f);
    for (unsigned i = 0; i < ARRAY_SIZE(trng_uuid); i++) {
        f->x[i] = trng_uuid[i];
    }
}

static void trng_features(struct guest_frame *f)
{
    uint32_t asked = (uint32_t)f->x[1];

    answer(f, asked >= TRNG_VERSION && asked <= TRNG_RND32 ? SUCCESS
              : asked == TRNG_RND64                        ? SUCCESS
                                                           : NOT_SUPPORTED);
}

// Where the record of stolen time is; asking for it begins the record.
static void pv_time_st(struct guest_frame *f)
{
    struct vcpu_exit e = {.kind = VCPU_EXIT_HYPERCALL, .hypercall = {.function = VCPU_CALL_STOLEN_TIME}};

    (void)f->vcpu->up->exit(f->vcpu, &e);
    f->x[0] = e.hypercall.handled ? e.hypercall.result[0] : (uint64_t)NOT_SUPPORTED;
}

static void pv_time_features(struct guest_frame *f)
{
    uint32_t asked = (uint32_t)f->x[1];

    if (asked == PV_TIME_FEATURES) {
        answer(f, SUCCESS);
    } else if (asked == PV_TIME_ST) {
        pv_time_st(f);
        f->x[0] = (int64_t)f->x[0] == NOT_SUPPORTED ? f->x[0] : SUCCESS;
    } else {
        answer(f, NOT_SUPPORTED);
    }
}

void smccc_service(struct guest_frame *f, uint32_t function)
{
    switch (function) {
    case TRNG_VERSION:
        answer(f, TRNG_VERSION_1_0);
        break;
    case TRNG_FEATURES:
        trng_features(f);
        break;
    case TRNG_GET_UUID:
        trng_get_uuid(f);
        break;
    case TRNG_RND32:
        trng_rnd(f, (uint32_t)f->x[1], 32);
        break;
    case TRNG_RND64:
        trng_rnd(f, f->x[1], 64);
        break;
    case PV_TIME_FEATURES:
        pv_time_features(f);
        break;
    default:
        pv_time_st(f);
        break;
    }
}
