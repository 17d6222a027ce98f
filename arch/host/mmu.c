// SPDX-License-Identifier: Apache-2.0
//
// Simulated physical memory and a lazy MMU.
//
// RAM is one memfd, mapped whole as the direct map. The window of kernel/mm/vmap is a reserved piece of the process with
// no access; the first touch of a page faults, the handler walks the simulated page table and maps the RAM page with the
// table's permissions (a TLB fill), arch_tlb_flush_host() takes it away again. So mapping, protection and guard pages are
// real. Physical addresses outside RAM stand for themselves: they are pointers of the process ("the image").
#include "arch/mmu.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arch/boot.h"
#include "arch/host/machine.h"
#include "kernel/mm/aspace.h"
#include "kernel/mm/pt_format.h"

#define WINDOW_SIZE MIB(256)

static struct {
    int fd;
    char *ram; // the direct map; reserved for HOST_RAM_MAX once
    uint64_t ram_size;
    char *window;
    hpa_t root;
    sigjmp_buf *probe; // set while arch_probe_*() runs
    struct sigaction previous;
} mmu = {.fd = -1};

struct host_mmu_counts host_mmu_counts;

static bool in_ram(uint64_t pa)
{
    return pa >= HOST_RAM_BASE && pa - HOST_RAM_BASE < mmu.ram_size;
}

static bool in_window(uintptr_t va)
{
    return va >= (uintptr_t)mmu.window && va - (uintptr_t)mmu.window < WINDOW_SIZE;
}

// ---- the walk on a "TLB miss" -----------------------------------------------------------------------------------------

// No lock, no kernel code: this runs in a signal handler in the middle of anything.
static bool walk(uintptr_t va, hpa_t *pa, struct mem_attr *attr)
{
    const struct pt_format *f = arch_host_pt_format();
    const uint64_t *table = arch_phys_to_virt(mmu.root);

    for (unsigned level = 0; level < f->levels; level++) {
        uint64_t e = table[(va >> pt_level_shift(f, level)) & 511];

        if (!f->is_valid(e)) {
            return false;
        }
        if (f->is_leaf(e, level)) {
            *pa = hpa(f->pa(e).v + align_down(va & (BIT64(pt_level_shift(f, level)) - 1), PAGE_SIZE));
            *attr = f->attr(e);
            return true;
        }
        table = arch_phys_to_virt(f->pa(e));
    }
    return false;
}

static bool tlb_fill(uintptr_t va, bool write)
{
    void *page = mmu.window + align_down(va - (uintptr_t)mmu.window, PAGE_SIZE);
    struct mem_attr attr;
    void *got;
    hpa_t pa;
    int prot;

    if (!in_window(va) || !walk(va, &pa, &attr) || (write && !(attr.perm & PERM_W))) {
        return false;
    }
    prot = PROT_READ | ((attr.perm & PERM_W) ? PROT_WRITE : 0);
    if (in_ram(pa.v)) {
        got = mmap(page, PAGE_SIZE, prot, MAP_SHARED | MAP_FIXED, mmu.fd, (off_t)(pa.v - HOST_RAM_BASE));
    } else {
        got = mmap(page, PAGE_SIZE, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    }
    return got == page;
}

static void on_segv(int sig, siginfo_t *info, void *context)
{
    const ucontext_t *uc = context;
    bool write = false;

#if defined(__x86_64__)
    write = (uc->uc_mcontext.gregs[REG_ERR] & 2) != 0;
#else
    (void)uc;
#endif
    if (tlb_fill((uintptr_t)info->si_addr, write)) {
        return;
    }
    if (mmu.probe != NULL) {
        siglongjmp(*mmu.probe, 1);
    }
    // Not ours: the next fault is for whoever was there before us (the test runner, the sanitizer) to report.
    (void)sigaction(sig, &mmu.previous, NULL);
    fprintf(stderr, "host: fault at %p\n", info->si_addr);
}

// Test runners install handlers of their own before each test, so this is repeated whenever the window changes.
static void handler_install(void)
{
    static char stack[65536];
    const stack_t alt = {.ss_sp = stack, .ss_size = sizeof(stack)};
    struct sigaction sa, old;

    memset(&sa, 0, sizeof(sa));
    sa.sa_sigaction = on_segv;
    sa.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    (void)sigaltstack(&alt, NULL);
    (void)sigaction(SIGSEGV, &sa, &old);
    if (old.sa_sigaction != on_segv) {
        mmu.previous = old;
    }
}

void host_mmu_reset(uint64_t ram)
{
    if (mmu.fd < 0) {
        mmu.fd = memfd_create("lodge-ram", MFD_CLOEXEC);
        mmu.ram =
            mmap(NULL, HOST_RAM_MAX + GIB(1), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        // The direct map keeps 1 GiB alignment, as a real one would.
        mmu.ram += align_up((uintptr_t)mmu.ram, GIB(1)) - (uintptr_t)mmu.ram;
        mmu.window = mmap(NULL, WINDOW_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    }
    handler_install();
    (void)mmap(mmu.ram, HOST_RAM_MAX, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
               0);
    (void)mmap(mmu.window, WINDOW_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED,
               -1, 0);
    // Truncating to nothing first gives fresh zeros.
    if (ram > HOST_RAM_MAX || ftruncate(mmu.fd, 0) != 0 || ftruncate(mmu.fd, (off_t)ram) != 0 ||
        mmap(mmu.ram, ram, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_NORESERVE, mmu.fd, 0) !=
            mmu.ram) {
        abort();
    }
    mmu.ram_size = ram;
    // The boot page table: the first page of RAM, which host_boot() reserves.
    mmu.root = hpa(HOST_RAM_BASE);
    memset(&host_mmu_counts, 0, sizeof(host_mmu_counts));
}

uint64_t host_ram_size(void)
{
    return mmu.ram_size;
}

// ---- the contract -----------------------------------------------------------------------------------------------------

void arch_map_ram(const struct boot_info *bi)
{
    (void)bi;
}

// The tests' tables lie in the machine's RAM.
const void *arch_map_firmware(hpa_t pa, uint64_t size)
{
    uint64_t offset = pa.v - HOST_RAM_BASE;

    return in_ram(pa.v) && size <= mmu.ram_size - offset ? arch_phys_to_virt(pa) : NULL;
}

void arch_seal_image(void)
{
}

static bool probe(volatile uint32_t *to, uint32_t *from, const volatile uint32_t *read_from)
{
    sigjmp_buf env;
    bool ok = false;

    handler_install();
    if (sigsetjmp(env, 1) == 0) {
        mmu.probe = &env;
        if (to != NULL) {
            *to = *from;
        } else {
            *from = *read_from;
        }
        ok = true;
    }
    mmu.probe = NULL;
    return ok;
}

bool arch_probe_write(volatile uint32_t *va, uint32_t value)
{
    return probe(va, &value, NULL);
}

bool arch_probe_read(const volatile uint32_t *va, uint32_t *value)
{
    return probe(NULL, value, va);
}

void *arch_phys_to_virt(hpa_t pa)
{
    return in_ram(pa.v) ? mmu.ram + (pa.v - HOST_RAM_BASE) : (void *)(uintptr_t)pa.v;
}

hpa_t arch_virt_to_phys(const void *va)
{
    uintptr_t off = (uintptr_t)va - (uintptr_t)mmu.ram;

    return hpa(off < mmu.ram_size ? HOST_RAM_BASE + off : (uintptr_t)va);
}

const struct pt_format *arch_host_pt_format(void)
{
    return &pt_arm64_stage1;
}

const struct pt_format *arch_guest_pt_format(void)
{
    return &pt_arm64_stage2_40;
}

hpa_t arch_host_pt_root(void)
{
    return mmu.root;
}

uintptr_t arch_vmap_base(void)
{
    return (uintptr_t)mmu.window;
}

uint64_t arch_vmap_size(void)
{
    return WINDOW_SIZE;
}

void arch_tlb_flush_host(uintptr_t va, uint64_t size)
{
    host_mmu_counts.tlb_host++;
    if (in_window(va)) {
        (void)mmap(mmu.window + (va - (uintptr_t)mmu.window), size, PROT_NONE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    }
}

void arch_tlb_flush_guest(unsigned vmid, gpa_t base, uint64_t size)
{
    host_mmu_counts.tlb_guest++;
    host_mmu_counts.last_vmid = vmid;
    host_mmu_counts.last_base = base.v;
    host_mmu_counts.last_size = size;
}

void arch_tlb_flush_guest_local(void)
{
    host_mmu_counts.tlb_guest_local++;
}

void arch_pt_publish(void)
{
    host_mmu_counts.publish++;
    handler_install();
}

// Reads the range, so that the address sanitizer checks it.
static void touch(const void *va, uint64_t size)
{
    const volatile char *p = va;

    if (size > 0) {
        (void)p[0];
        (void)p[size - 1];
    }
}

void arch_dcache_clean(const void *va, uint64_t size)
{
    touch(va, size);
    host_mmu_counts.clean++;
}

void arch_dcache_clean_invalidate(const void *va, uint64_t size)
{
    touch(va, size);
    host_mmu_counts.clean_invalidate++;
}

void arch_icache_invalidate_all(void)
{
    host_mmu_counts.icache++;
}

void arch_zero_pages(void *va, uint64_t size)
{
    memset(va, 0, size);
}

void arch_zero_pages_coherent(void *va, uint64_t size)
{
    arch_zero_pages(va, size);
    arch_dcache_clean_invalidate(va, size);
}
