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

// RISC-V Privileged Architecture, 10.4 and 10.5. A and D are set: no machine needs to trap for them.
#define PTE_V BIT64(0)
#define PTE_R BIT64(1)
#define PTE_W BIT64(2)
#define PTE_X BIT64(3)
#define PTE_G BIT64(5)
#define PTE_A BIT64(6)
#define PTE_D BIT64(7)
#define PTE_LEAF (PTE_V | PTE_R | PTE_G | PTE_A | PTE_D)

static const struct early_format format = {
    .leaf = {[EARLY_R] = PTE_LEAF, [EARLY_RX] = PTE_LEAF | PTE_X, [EARLY_RW] = PTE_LEAF | PTE_W},
    .valid = PTE_V,
    .table = PTE_V,
    .table_mask = PTE_V | PTE_R | PTE_W | PTE_X,
    .write_clear = PTE_W,
    .pa_mask = MASK64(10, 44),
    .pa_shift = 2,
};

struct early_map boot_tables;
uint64_t image_offset;

// Maps one part of the image, given by its run-time addresses while the MMU is off.
static bool map_part(struct early_map *m, const char *from, const char *to, enum early_kind kind,
                     uint64_t image_pa)
{
    uint64_t pa = (uint64_t)(uintptr_t)from;

    return early_map(m, IMAGE_VA + (pa - image_pa), pa, (uint64_t)(to - from), kind);
}

uint64_t boot_map(uint64_t image_pa, uint64_t fdt_pa, unsigned levels)
{
    struct early_map m;
    uint64_t fdt = align_down(fdt_pa, BLOCK_SIZE);
    bool ok;

    ok = early_map_init(&m, &format, (uint64_t)(uintptr_t)early_tables_start,
                        (uint64_t)(uintptr_t)early_tables_end);
    m.format.levels = levels;
    ok = ok && map_part(&m, image_start, text_end, EARLY_RX, image_pa);
    ok = ok && map_part(&m, text_end, readonly_end, EARLY_R, image_pa);
    ok = ok && map_part(&m, ro_after_init_start, ro_after_init_end, EARLY_RW, image_pa);
    ok = ok && map_part(&m, ro_after_init_end, boot_stack_guard, EARLY_RW, image_pa);
    ok = ok && map_part(&m, boot_stack_bottom, image_end, EARLY_RW, image_pa);
    if (fdt_pa && fdt + FDT_WINDOW < mmu_direct_size(levels)) {
        // The tree's surroundings, as RAM: the direct map keeps what is mapped here.
        ok = ok && early_map_around(&m, mmu_direct_base(levels), (struct early_range){fdt, fdt + FDT_WINDOW},
                                    boot_sealed_part(image_pa));
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
