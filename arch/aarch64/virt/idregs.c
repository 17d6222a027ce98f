// SPDX-License-Identifier: Apache-2.0
//
// The feature registers that guests see (Arm DDI 0487, D19.2.58 and on): an allow-list of fields. What is not listed here
// is hidden, and using it is undefined in the guest, because nothing of it is switched or virtualised.
#include "arch/aarch64/virt/idregs.h"

#include <asm/sysreg.h>

#define CRM_FIRST 1
#define REG_COUNT 56

#define F(low) (UINT64_C(0xF) << (low))

#define CSV2_SHIFT 56  // in ID_AA64PFR0; from 2 on there is SCXTNUM_EL1, which is not switched
#define HAFDBS_SHIFT 0 // in ID_AA64MMFR1; from 3 on there is more than the hardware's access and dirty flags

// A register: fields that pass through, and bits that are set instead.
struct id_rule {
    uint8_t crm, op2;
    uint64_t pass, set;
};

static const struct id_rule rules[] = {
    // AArch32 state at EL0: described as it is, without debug and performance monitors.
    {1, 0, ~UINT64_C(0), 0},
    {1, 1, F(0) | F(4) | F(8) | F(20), 0},
    {1, 4, ~UINT64_C(0), 0},
    {1, 5, ~UINT64_C(0), 0},
    {1, 6, ~UINT64_C(0), 0},
    {1, 7, ~UINT64_C(0), 0},
    {2, 0, ~UINT64_C(0), 0},
    {2, 1, ~UINT64_C(0), 0},
    {2, 2, ~UINT64_C(0), 0},
    {2, 3, ~UINT64_C(0), 0},
    {2, 4, ~UINT64_C(0), 0},
    {2, 5, ~UINT64_C(0), 0},
    {2, 6, ~UINT64_C(0), 0},
    {2, 7, ~UINT64_C(0), 0},
    {3, 0, ~UINT64_C(0), 0},
    {3, 1, ~UINT64_C(0), 0},
    {3, 2, ~UINT64_C(0), 0},
    {3, 4, F(0) | F(4), 0},
    // ID_AA64PFR0: EL0, FP, AdvSIMD, GIC, DIT, CSV2, CSV3; EL1 is AArch64 only. CSV2 is capped below.
    {4, 0, F(0) | F(16) | F(20) | F(24) | F(48) | F(56) | F(60), UINT64_C(1) << 4},
    // ID_AA64PFR1: BT, SSBS.
    {4, 1, F(0) | F(4), 0},
    // ID_AA64DFR0: Armv8 debug with the smallest number of break- and watchpoints.
    {5, 0, 0, 0x6 | UINT64_C(1) << 12 | UINT64_C(1) << 20},
    // ID_AA64ISAR0: all but TME.
    {6, 0, ~F(24), 0},
    // ID_AA64ISAR1: all but XS and LS64.
    {6, 1, ~(F(56) | F(60)), 0},
    // ID_AA64ISAR2: RPRES, GPA3, APA3, BC, CLRBHB.
    {6, 2, F(4) | F(8) | F(12) | F(20) | F(28), 0},
    // ID_AA64MMFR0: ASIDBits, BigEnd, BigEndEL0, granules; PARange is set below.
    {7, 0, F(4) | F(8) | F(16) | F(20) | F(24) | F(28), 0},
    // ID_AA64MMFR1: HAFDBS, HPDS, PAN, ETS, nTLBPA.
    {7, 1, F(0) | F(12) | F(20) | F(36) | F(48), 0},
    // ID_AA64MMFR2: CnP, UAO, LSM, VARange, CCIDX, ST, AT, TTL, BBM, E0PD.
    {7, 2, F(0) | F(4) | F(8) | F(16) | F(20) | F(28) | F(32) | F(48) | F(52) | F(60), 0},
};

static uint64_t values[REG_COUNT] __attribute__((section(".ro_after_init")));

// Fields that pass through, but no higher than this.
static const struct {
    uint8_t crm, op2, shift;
    uint64_t max;
} caps[] = {{4, 0, CSV2_SHIFT, 1}, {7, 1, HAFDBS_SHIFT, 2}};

static unsigned slot(unsigned crm, unsigned op2)
{
    return (crm - CRM_FIRST) * 8 + op2;
}

#define ID_READ(crm, op2) [(crm - CRM_FIRST) * 8 + op2] = sysreg_read(S3_0_C0_C##crm##_##op2)
#define ID_ROW(crm)                                                                                       \
    ID_READ(crm, 0), ID_READ(crm, 1), ID_READ(crm, 2), ID_READ(crm, 3), ID_READ(crm, 4), ID_READ(crm, 5), \
        ID_READ(crm, 6), ID_READ(crm, 7)

void idregs_init(void)
{
    const uint64_t raw[REG_COUNT] = {ID_ROW(1), ID_ROW(2), ID_ROW(3), ID_ROW(4),
                                     ID_ROW(5), ID_ROW(6), ID_ROW(7)};

    for (unsigned i = 0; i < ARRAY_SIZE(rules); i++) {
        unsigned n = slot(rules[i].crm, rules[i].op2);
        values[n] = (raw[n] & rules[i].pass) | rules[i].set;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(caps); i++) {
        uint64_t *v = &values[slot(caps[i].crm, caps[i].op2)];
        uint64_t field = min_u64(id_field(*v, caps[i].shift), caps[i].max);
        *v = (*v & ~F(caps[i].shift)) | field << caps[i].shift;
    }
    // Guests get 40 bits of physical address space (the stage-2 table's input size), or less on a smaller machine.
    values[slot(7, 0)] |= min_u64(raw[slot(7, 0)] & 0xF, 2);
}

uint64_t idregs_value(unsigned crm, unsigned op2)
{
    return values[slot(crm, op2)];
}
