// SPDX-License-Identifier: Apache-2.0
//
// Calls to the firmware below (RISC-V Supervisor Binary Interface 2.0); the numbers are also those that guests use.
#pragma once

#include "kernel/lib/types.h"

// Extension IDs. 0 to 8 are the legacy calls (chapter 5).
#define SBI_LEGACY_SET_TIMER 0x00
#define SBI_LEGACY_PUTCHAR 0x01
#define SBI_LEGACY_GETCHAR 0x02
#define SBI_LEGACY_CLEAR_IPI 0x03
#define SBI_LEGACY_SEND_IPI 0x04
#define SBI_LEGACY_FENCE_I 0x05
#define SBI_LEGACY_SFENCE_VMA 0x06
#define SBI_LEGACY_SFENCE_VMA_ASID 0x07
#define SBI_LEGACY_SHUTDOWN 0x08
#define SBI_EXT_BASE 0x10
#define SBI_EXT_TIME 0x54494D45
#define SBI_EXT_IPI 0x735049
#define SBI_EXT_RFENCE 0x52464E43
#define SBI_EXT_HSM 0x48534D
#define SBI_EXT_SRST 0x53525354
#define SBI_EXT_DBCN 0x4442434E
#define SBI_EXT_STA 0x535441

#define SBI_BASE_SPEC_VERSION 0
#define SBI_BASE_IMPL_ID 1
#define SBI_BASE_IMPL_VERSION 2
#define SBI_BASE_PROBE 3
#define SBI_BASE_MVENDORID 4
#define SBI_BASE_MARCHID 5
#define SBI_BASE_MIMPID 6

#define SBI_RFENCE_I 0
#define SBI_RFENCE_VMA 1
#define SBI_RFENCE_VMA_ASID 2
#define SBI_RFENCE_GVMA_VMID 3
#define SBI_RFENCE_GVMA 4
#define SBI_RFENCE_VVMA_ASID 5
#define SBI_RFENCE_VVMA 6

#define SBI_HSM_START 0
#define SBI_HSM_STOP 1
#define SBI_HSM_STATUS 2
#define SBI_HSM_SUSPEND 3

#define SBI_SRST_SHUTDOWN 0
#define SBI_SRST_COLD_REBOOT 1
#define SBI_SRST_WARM_REBOOT 2

#define SBI_SUCCESS 0
#define SBI_ERR_FAILED (-1)
#define SBI_ERR_NOT_SUPPORTED (-2)
#define SBI_ERR_INVALID_PARAM (-3)
#define SBI_ERR_DENIED (-4)
#define SBI_ERR_INVALID_ADDRESS (-5)
#define SBI_ERR_ALREADY_AVAILABLE (-6)

#define SBI_ALL_HARTS UINT64_MAX // as hart_mask_base: every hart there is

struct sbi_ret {
    int64_t error;
    uint64_t value;
};

// One call. Any context.
struct sbi_ret sbi_call(uint64_t ext, uint64_t fn, uint64_t a0, uint64_t a1, uint64_t a2);
// The remote fences that take five arguments: harts, then range, then ASID or VMID.
struct sbi_ret sbi_rfence(uint64_t fn, uint64_t mask, uint64_t base, uint64_t start, uint64_t size,
                          uint64_t id);
// Does the firmware have the extension?
bool sbi_probe(uint64_t ext);
