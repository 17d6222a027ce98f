// SPDX-License-Identifier: Apache-2.0
//
// Boot code in C. The first half runs with the MMU off at the load address: it must not read any stored pointer.
#include "arch/riscv64/boot/boot.h"

#include <asm/sbi.h>

#include "arch/boot.h"
#include "arch/mmu.h"
#include "arch/riscv64/mmu/mmu.h"
#include "arch/time.h"
#include "linker/riscv64.h"

#define FDT_WINDOW MIB(4) // covers the largest blob that is accepted (2 MiB), wherever it starts
#define DBCN_WRITE_BYTE 2

struct early_map boot_tables;
uint64_t image_offset;

// Maps one part of the image, given by its run-time addresses while the MMU is off.
static bool map_part(struct early_map *m, const char *from, const char *to, unsigned kind, uint64_t image_pa)
{
    uint64_t pa = (uint64_t)(uintptr_t)from;

    return early_map(m, IMAGE_VA + (pa - image_pa), pa, (uint64_t)(to - from), kind);
}

uint64_t boot_map(uint64_t image_pa, uint64_t fdt_pa, unsigned levels)
{
    struct early_map m;
    uint64_t fdt = align_down(fdt_pa, BLOCK_SIZE);
    bool ok;

    ok = early_map_init(&m, levels, (uint64_t)(uintptr_t)early_tables_start,
                        (uint64_t)(uintptr_t)early_tables_end);
    ok = ok && map_part(&m, image_start, text_end, EARLY_RX, image_pa);
    ok = ok && map_part(&m, text_end, readonly_end, EARLY_R, image_pa);
    ok = ok && map_part(&m, ro_after_init_start, ro_after_init_end, EARLY_RW, image_pa);
    ok = ok && map_part(&m, ro_after_init_end, boot_stack_guard, EARLY_RW, image_pa);
    ok = ok && map_part(&m, boot_stack_bottom, image_end, EARLY_RW, image_pa);
    if (fdt_pa && fdt + FDT_WINDOW < mmu_direct_size(levels)) {
        ok = ok && early_map(&m, mmu_direct_base(levels) + fdt, fdt, FDT_WINDOW, EARLY_RW);
    }
    if (!ok) {
        for (;;) {
            asm volatile("wfi");
        }
    }
    boot_tables = m;
    return m.root;
}

void boot_main(uint64_t image_pa, uint64_t fdt_pa, uint64_t hart, unsigned levels)
{
    static struct boot_info bi;

    image_offset = IMAGE_VA - image_pa;
    boot_tables.to_pointer = image_offset;
    mmu_init(levels);
    bi.image = (struct boot_range){hpa(image_pa), (uint64_t)(image_end - image_start)};
    bi.fdt = hpa(fdt_pa);
    bi.boot_cpu_hw_id = hart;
    bi.boot_ticks = arch_time_now();
    kernel_main(&bi);
}

// The debug console where there is one, else the legacy call; both work before and after the MMU is on.
static void sbi_put(char c)
{
    struct sbi_ret r = sbi_call(SBI_EXT_DBCN, DBCN_WRITE_BYTE, (unsigned char)c, 0, 0);

    if (r.error != SBI_SUCCESS) {
        sbi_call(SBI_LEGACY_PUTCHAR, 0, (unsigned char)c, 0, 0);
    }
}

void arch_early_putc(char c)
{
    if (c == '\n') {
        sbi_put('\r');
    }
    sbi_put(c);
}

// MMU off: reading hstatus trapped.
void boot_say_no_h(void)
{
    static const char text[] = "\r\nLodge: this machine has no hypervisor extension (H).\r\n"
                               "Under QEMU use `-cpu rv64` or `max`; on a board a hart with H is needed.\r\n";

    for (const char *p = text; *p; p++) {
        sbi_put(*p);
    }
}
