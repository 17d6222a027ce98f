// SPDX-License-Identifier: Apache-2.0
//
// The guest's x87, SSE and AVX state, which stays in the registers until another vCPU takes the core (Intel SDM vol. 1,
// chapter 13). With XSAVE where the CPU has it, else with FXSAVE. XCR0 is the guest's while it is loaded, else all that a guest
// may have; writing it is slow, and most guests have all.
#include <string.h>

#include "arch/x86_64/virt/virt_local.h"
#include "kernel/mm/page.h"

#define CPUID1_ECX_XSAVE BIT64(26)
#define XCR0_X87 BIT64(0)
#define XCR0_SSE BIT64(1)
#define XCR0_AVX BIT64(2)
#define XCR0_AVX512 MASK64(5, 3)
#define XCR0_KNOWN (XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_AVX512)
#define AREA_ORDER 0 // AVX-512 needs 2696 bytes
#define FCW_RESET 0x37F
#define MXCSR_RESET 0x1F80
#define AREA_FCW 0
#define AREA_MXCSR 24
#define AREA_XMM 160
#define AREA_HEADER 512 // XSTATE_BV: which components are not in their initial state

void fp_xsave(void *area, uint64_t mask);
void fp_xrstor(const void *area, uint64_t mask);
void fp_fxsave(void *area);
void fp_fxrstor(const void *area);

static bool has_xsave(void)
{
    return (cpuid_read(1, 0).ecx & CPUID1_ECX_XSAVE) != 0;
}

uint64_t fp_features(void)
{
    static uint64_t features; // the same on all CPUs
    struct cpuid r;

    if (features || !has_xsave()) {
        return features;
    }
    r = cpuid_read(0xD, 0);
    features = ((uint64_t)r.edx << 32 | r.eax) & XCR0_KNOWN;
    return features;
}

static uint64_t xcr0_read(void)
{
    uint32_t low, high;

    asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

static void xcr0_write(uint64_t v)
{
    asm volatile("xsetbv" ::"c"(0), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)) : "memory");
}

void fp_init_cpu(void)
{
    if (has_xsave()) {
        xcr0_write(fp_features());
    }
}

enum status fp_create(struct arch_vcpu *av)
{
    av->fp = page_alloc_zeroed(AREA_ORDER);
    return av->fp ? OK : E_NOMEM;
}

void fp_destroy(struct arch_vcpu *av)
{
    memset(av->fp, 0, PAGE_SIZE << AREA_ORDER);
    page_free(av->fp, AREA_ORDER);
}

void fp_reset(struct arch_vcpu *av)
{
    uint16_t fcw = FCW_RESET;
    uint32_t mxcsr = MXCSR_RESET;

    memset(av->fp, 0, PAGE_SIZE << AREA_ORDER);
    memcpy((char *)av->fp + AREA_FCW, &fcw, sizeof(fcw));
    memcpy((char *)av->fp + AREA_MXCSR, &mxcsr, sizeof(mxcsr));
    av->xcr0 = XCR0_X87;
}

void fp_load(struct arch_vcpu *av)
{
    uint64_t all = fp_features();

    if (!all) {
        fp_fxrstor(av->fp);
        return;
    }
    fp_xrstor(av->fp, all);
    if (av->xcr0 != all) {
        xcr0_write(av->xcr0);
    }
}

// Read back: QEMU's TCG carries out a guest's XSETBV without the exit that was asked for.
void fp_put(struct arch_vcpu *av)
{
    uint64_t all = fp_features(), now;

    if (!all) {
        fp_fxsave(av->fp);
        return;
    }
    now = xcr0_read();
    av->xcr0 = now & all;
    if (now != all) {
        xcr0_write(all);
    }
    fp_xsave(av->fp, all);
}

// AVX needs SSE, AVX-512's three parts need each other and AVX.
bool fp_set_xcr0(struct arch_vcpu *av, uint64_t v)
{
    bool avx512 = (v & XCR0_AVX512) != 0;

    if (!(v & XCR0_X87) || (v & ~fp_features()) || ((v & XCR0_AVX) && !(v & XCR0_SSE)) ||
        (avx512 && ((v & XCR0_AVX512) != XCR0_AVX512 || !(v & XCR0_AVX)))) {
        return false;
    }
    av->xcr0 = v;
    xcr0_write(v);
    return true;
}

void fp_vector(struct arch_vcpu *av, unsigned reg, bool write, uint64_t v[2])
{
    char *area = av->fp;
    uint64_t in_use;

    fp_put(av);
    if (write) {
        memcpy(area + AREA_XMM + 16 * reg, v, 16);
        memcpy(&in_use, area + AREA_HEADER, sizeof(in_use)); // FXSAVE has nothing there
        in_use |= XCR0_SSE;
        memcpy(area + AREA_HEADER, &in_use, sizeof(in_use));
    } else {
        memcpy(v, area + AREA_XMM + 16 * reg, 16);
    }
    fp_load(av);
}
