// SPDX-License-Identifier: Apache-2.0
//
// The CPU's random numbers: RDSEED, else RDRAND (Intel SDM vol. 1, 7.3.17). Either may have none for a moment. A generator that
// says the same twice is broken: after a resume some of AMD's give all ones for ever.
#include <string.h>

#include <asm/cpu.h>

#include "arch/cpu.h"
#include "arch/x86_64/cpu/cpu_local.h"

#define CPUID1_ECX_RDRAND BIT64(30)
#define CPUID7_EBX_RDSEED BIT64(18)
#define TRIES 1000u // of a few hundred cycles

static bool draw(bool seeds, uint64_t *out)
{
    for (unsigned i = 0; i < TRIES; i++) {
        uint8_t ok;

        if (seeds) {
            asm volatile("rdseed %0" : "=r"(*out), "=@ccc"(ok));
        } else {
            asm volatile("rdrand %0" : "=r"(*out), "=@ccc"(ok));
        }
        if (ok) {
            return true;
        }
        arch_cpu_relax();
    }
    return false;
}

bool cpu_entropy(uint8_t *out, unsigned size)
{
    bool seeds = cpuid_read(0, 0).eax >= 7 && (cpuid_read(7, 0).ebx & CPUID7_EBX_RDSEED);
    uint64_t v, last = 0;

    if (!seeds && !(cpuid_read(1, 0).ecx & CPUID1_ECX_RDRAND)) {
        return false;
    }
    for (unsigned done = 0; done < size; done += sizeof(v)) {
        if (!draw(seeds, &v) || v == last) {
            return false;
        }
        memcpy(out + done, &v, sizeof(v));
        last = v;
    }
    return true;
}
