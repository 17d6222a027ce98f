// SPDX-License-Identifier: Apache-2.0
//
// The guest's own page tables, walked by hand for backtraces: with vsatp off the hart's HLV takes guest physical addresses
// (RISC-V Privileged Architecture, 10.3.2 and 18.3.1).
#include "arch/riscv64/virt/exit.h"

#define VSATP_MODE(v) ((v) >> SATP_MODE_SHIFT)
#define VSATP_PPN MASK64(0, 44)
#define PTE_V BIT64(0)
#define PTE_LEAF (BIT64(1) | BIT64(3))
#define PTE_READ BIT64(1)
#define PTE_PPN MASK64(10, 44)
#define SV39_LEVELS 3u

bool guest_load64(uint64_t va, uint64_t *out);

static bool walk(uint64_t vsatp, uint64_t va, gpa_t *out)
{
    unsigned levels = SV39_LEVELS + (unsigned)(VSATP_MODE(vsatp) - SATP_SV39);
    uint64_t table = (vsatp & VSATP_PPN) << PAGE_SHIFT;

    for (unsigned shift = PAGE_SHIFT + 9 * (levels - 1); shift >= PAGE_SHIFT; shift -= 9) {
        uint64_t pte;

        if (!guest_load64(table + 8 * (va >> shift & 511), &pte) || !(pte & PTE_V)) {
            return false;
        }
        if (pte & PTE_LEAF) {
            *out = gpa((((pte & PTE_PPN) << 2) & ~MASK64(0, shift)) | (va & MASK64(0, shift)));
            return (pte & PTE_READ) != 0;
        }
        table = (pte & PTE_PPN) << 2;
    }
    return false;
}

bool arch_vcpu_translate(const struct arch_vcpu *av, gva_t va, gpa_t *out)
{
    uint64_t vsatp = csr_read(vsatp);
    uint64_t status;
    bool ok;

    if (!av->loaded) {
        return false;
    }
    if (VSATP_MODE(vsatp) == 0) {
        *out = gpa(va.v);
        return true;
    }
    if (VSATP_MODE(vsatp) < SATP_SV39 || VSATP_MODE(vsatp) > SATP_SV48 + 1) {
        return false;
    }
    status = csr_read(vsstatus);
    csr_clear(vsstatus, SSTATUS_MXR);
    csr_write(vsatp, 0);
    ok = walk(vsatp, va.v, out);
    csr_write(vsatp, vsatp);
    csr_write(vsstatus, status);
    return ok;
}

// psABI: a frame pointer points behind the record of previous frame pointer and return address.
const struct vcpu_frame_layout *arch_vcpu_frame_layout(void)
{
    static const struct vcpu_frame_layout layout = {.frame_reg = 8, .next_offset = -16, .return_offset = -8};

    return &layout;
}
