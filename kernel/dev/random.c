// SPDX-License-Identifier: Apache-2.0
//
// A ChaCha20 key stream (RFC 8439, 2.3) keyed with the loader's seed, the CPU's own random numbers and the boot time.
#include "kernel/dev/random.h"

#include <string.h>

#include "arch/time.h"
#include "kernel/dev/fdt_read.h"
#include "kernel/sync/spinlock.h"

#define KEY_SIZE 32
#define SEED_MIN 16 // bytes: 128 bits are beyond guessing
#define BLOCK_WORDS 16
#define ROUNDS 20

static uint32_t key[KEY_SIZE / 4];
static uint64_t next_block; // protected by `lock`
static bool seeded;
static struct spinlock lock = SPINLOCK_INIT(LOCK_RANDOM);

extern uintptr_t __stack_chk_guard; // the compiler's; a zero byte at its start stops string overruns

__attribute__((no_stack_protector)) void random_init(const struct boot_info *bi)
{
    int len = 0;
    int chosen = bi->fdt_va ? fdt_read_child(bi->fdt_va, 0, "chosen") : -1;
    const uint8_t *seed = chosen >= 0 ? fdt_read_value(bi->fdt_va, chosen, "rng-seed", &len) : NULL;
    uint8_t bytes[KEY_SIZE] = {0};

    for (int i = 0; seed && i < len; i++) {
        bytes[i % KEY_SIZE] ^= seed[i];
    }
    _Static_assert(sizeof(bi->entropy) == sizeof(bytes));
    for (unsigned i = 0; bi->has_entropy && i < sizeof(bytes); i++) {
        bytes[i] ^= bi->entropy[i];
    }
    seeded = len >= SEED_MIN || bi->has_entropy;
    memcpy(key, bytes, KEY_SIZE);
    key[0] ^= (uint32_t)bi->boot_ticks;
    key[1] ^= (uint32_t)arch_time_now();
    random_bytes((uint8_t *)&__stack_chk_guard + 1, sizeof(__stack_chk_guard) - 1);
}

static uint32_t rotate(uint32_t v, unsigned n)
{
    return v << n | v >> (32 - n);
}

static void quarter_round(uint32_t *s, unsigned a, unsigned b, unsigned c, unsigned d)
{
    s[a] += s[b];
    s[d] = rotate(s[d] ^ s[a], 16);
    s[c] += s[d];
    s[b] = rotate(s[b] ^ s[c], 12);
    s[a] += s[b];
    s[d] = rotate(s[d] ^ s[a], 8);
    s[c] += s[d];
    s[b] = rotate(s[b] ^ s[c], 7);
}

static void block(uint32_t out[BLOCK_WORDS])
{
    uint32_t in[BLOCK_WORDS] = {0x61707865, 0x3320646E, 0x79622D32, 0x6B206574};

    memcpy(&in[4], key, KEY_SIZE);
    in[12] = (uint32_t)next_block;
    in[13] = (uint32_t)(next_block >> 32);
    next_block++;
    memcpy(out, in, sizeof(in));
    for (unsigned i = 0; i < ROUNDS; i += 2) {
        for (unsigned c = 0; c < 4; c++) {
            quarter_round(out, c, 4 + c, 8 + c, 12 + c);
        }
        for (unsigned c = 0; c < 4; c++) {
            quarter_round(out, c, 4 + (c + 1) % 4, 8 + (c + 2) % 4, 12 + (c + 3) % 4);
        }
    }
    for (unsigned i = 0; i < BLOCK_WORDS; i++) {
        out[i] += in[i];
    }
}

bool random_seeded(void)
{
    return seeded;
}

__attribute__((no_stack_protector)) void random_bytes(void *buf, size_t size)
{
    uint32_t words[BLOCK_WORDS];

    for (size_t done = 0; done < size; done += sizeof(words)) {
        size_t n = size - done < sizeof(words) ? size - done : sizeof(words);
        irq_state_t irq = spin_lock_irqsave(&lock);

        block(words);
        spin_unlock_irqrestore(&lock, irq);
        memcpy((uint8_t *)buf + done, words, n);
    }
    memset(words, 0, sizeof(words));
}
