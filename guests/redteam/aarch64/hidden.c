// SPDX-License-Identifier: Apache-2.0
//
// Features that the ID registers hide: to name one of their registers traps, whatever the machine below has (Arm DDI
// 0487, D19). A register that answers is neither switched nor virtualised: it would be shared with neighbours. The
// class is not looked at: CPACR_EL1, which is this guest's own, may trap before the hypervisor does.
#include "guests/redteam/redteam.h"

#define MRS_X2(op0, op1, crn, crm, op2) \
    (0xd5200002u | (op0) << 19 | (op1) << 16 | (crn) << 12 | (crm) << 8 | (op2) << 5)

static const struct {
    const char *name;
    uint32_t word;
} hidden[] = {
    {"ERRIDR_EL1 (RAS)", MRS_X2(3u, 0u, 5u, 3u, 0u)},  {"ERRSELR_EL1 (RAS)", MRS_X2(3u, 0u, 5u, 3u, 1u)},
    {"ZCR_EL1 (SVE)", MRS_X2(3u, 0u, 1u, 2u, 0u)},     {"SMCR_EL1 (SME)", MRS_X2(3u, 0u, 1u, 2u, 6u)},
    {"TRFCR_EL1 (trace)", MRS_X2(3u, 0u, 1u, 2u, 1u)}, {"GCR_EL1 (MTE)", MRS_X2(3u, 0u, 1u, 0u, 6u)},
    {"TCR2_EL1", MRS_X2(3u, 0u, 2u, 0u, 3u)},          {"PIR_EL1", MRS_X2(3u, 0u, 10u, 2u, 3u)},
    {"LORID_EL1 (LOR)", MRS_X2(3u, 0u, 10u, 4u, 7u)},  {"MPAM1_EL1", MRS_X2(3u, 0u, 10u, 5u, 0u)},
    {"SCXTNUM_EL1", MRS_X2(3u, 0u, 13u, 0u, 7u)},      {"PMCR_EL0 (PMU)", MRS_X2(3u, 3u, 9u, 12u, 0u)},
    {"PMSCR_EL1 (SPE)", MRS_X2(3u, 0u, 9u, 9u, 0u)},   {"AMCR_EL0 (AMU)", MRS_X2(3u, 3u, 13u, 2u, 0u)},
    {"CNTPS_CTL_EL1", MRS_X2(3u, 7u, 14u, 2u, 1u)},    {"HCR_EL2", MRS_X2(3u, 4u, 1u, 1u, 0u)},
};

bool case_hidden(void)
{
    bool ok = true;

    for (unsigned i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++) {
        uint64_t value = run_word(hidden[i].word, 0, 0);

        if (!last_trap.taken) {
            print("  %s answers: 0x%lx\n", hidden[i].name, value);
            ok = false;
        }
    }
    return ok;
}
