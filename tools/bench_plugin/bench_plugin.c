// SPDX-License-Identifier: Apache-2.0
//
// A TCG plugin for QEMU that checks what guests/bench measures, by counting executed instructions of the hypervisor.
//
// The guest marks the beginning and the end of each batch and the end of a series by instructions without effect
// (movz xzr, #MARK on aarch64, slti zero, zero, MARK on riscv64, nopl MARK(%rax) on x86_64). An instruction is the hypervisor's
// when its address lies in the MiBs from `image=` on, and the firmware's below `firmware=`, or before the one at `start=` was
// executed. Results go to the file named by `out=`, a line each, with numbers in decimal:
//   entry TOTAL PAGES FW     instructions of the whole machine before the guest's first, 4 KiB pages written neither by
//                            the firmware nor by what only clears (`clear=FIRST-END`, functions of the hypervisor),
//                            instructions of the firmware among the total
//   series N BATCHES COUNT FW    hypervisor and firmware instructions in the cheapest batch of series N
//   switch COUNT             hypervisor instructions from where a guest marked that it goes to sleep to a guest's next one
//   profile PC COUNT         the same instructions by address, every 16 bytes (with `profile=1`)
//   page ADDRESS PC          the same pages, and who wrote each first (with `profile=1`)
//   trace N PC...            all of them from the last entry into the hypervisor of that series (with `trace=1`)
// With `total=1` instead, nothing is looked for and this is all, at much less cost:
//   total ALL HYPERVISOR FIRMWARE    instructions until the machine ended; with `profile=1` also by address
// A machine ends at a store to the register `off=`, where that is given: QEMU lets a CPU run on for a while behind it.
//
// QEMU's plugin interface, version 1, is declared here as far as it is used; Debian ships no header for it. `TBs` are
// QEMU's translated blocks.
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

typedef uint64_t plugin_id;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_plugin_hwaddr;
enum {
    PLUGIN_NO_REGS = 0
};
enum {
    PLUGIN_INLINE_ADD = 0
};
enum {
    PLUGIN_MEM_WRITE = 2
};

typedef void (*tb_callback)(plugin_id id, struct qemu_plugin_tb *tb);
typedef void (*insn_callback)(unsigned cpu, void *data);
typedef void (*mem_callback)(unsigned cpu, uint32_t info, uint64_t va, void *data);
typedef void (*exit_callback)(plugin_id id, void *data);

void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id, tb_callback cb);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn, insn_callback cb, int flags,
                                            void *data);
void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *insn, int op, void *ptr,
                                                uint64_t imm);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *insn, mem_callback cb, int flags, int rw,
                                      void *data);
void qemu_plugin_register_atexit_cb(plugin_id id, exit_callback cb, void *data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t i);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);
bool qemu_plugin_mem_is_store(uint32_t info);
struct qemu_plugin_hwaddr *qemu_plugin_get_hwaddr(uint32_t info, uint64_t va);
bool qemu_plugin_hwaddr_is_io(const struct qemu_plugin_hwaddr *h);
uint64_t qemu_plugin_hwaddr_phys_addr(const struct qemu_plugin_hwaddr *h);

EXPORT int qemu_plugin_version = 1;
EXPORT int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv);

#define IMAGE_SIZE (UINT64_C(2) << 20) // its text: behind it other kernels may lie
enum {
    MARK_NONE,
    MARK_BEGIN,
    MARK_END,
    MARK_SERIES,
    MARK_ENTRY,
    MARK_SLEEP
};

// An instruction without effect that carries a mark, by architecture.
static const struct mark_code {
    const char *arch;
    uint32_t mask, code;
    unsigned shift;
    uint32_t first; // the immediate of mark 0
} mark_codes[] = {
    {"aarch64", 0xffe0001f, 0xd280001f, 5, 0x4c00}, // movz xzr, #n
    {"riscv64", 0x000fffff, 0x00002013, 20, 0x4c0}, // slti zero, zero, n
    {"x86_64", 0x00ffffff, 0x00401f0f, 24, 0x60},   // nopl n(%rax)
};

#define PROFILE_SHIFT 4
#define PROFILE_SIZE (UINT64_C(1) << (20 - PROFILE_SHIFT)) // one MiB of text
#define CLEARING_MAX 8
#define TRACE_MAX 20000
#define PAGE_SHIFT 12
#define PAGE_MASK ((UINT64_C(1) << PAGE_SHIFT) - 1)
#define RAM_BASE UINT64_C(0x40000000)
#define RAM_PAGES (UINT64_C(1) << 20)

static FILE *out;
static const struct mark_code *marks = &mark_codes[0];
static uint64_t image_va, firmware_end, start_pc, off_register;
static bool total_printed;
static struct {
    uint64_t first, end;
} clearing[CLEARING_MAX];
static unsigned clearing_count;
static uint64_t totals[2]; // guest and boot, firmware
static bool want_trace, want_profile, want_total, in_guest = true, started, in_batch, asleep;
static uint64_t executed, count, fw_executed, fw_count, fw_best, best, batches, series, pages_written, slept;
static uint64_t trace[TRACE_MAX];
static unsigned trace_count;
static uint64_t profile[PROFILE_SIZE];
static uint64_t writer[RAM_PAGES]; // who wrote a page first; 0: nobody

static uint64_t *profile_of(uint64_t pc)
{
    return &profile[(pc - image_va) >> PROFILE_SHIFT & (PROFILE_SIZE - 1)];
}

static void host_insn(unsigned cpu, void *data)
{
    (void)cpu;
    executed++;
    count++;
    if (!started) {
        ++*profile_of((uintptr_t)data);
    }
    if (in_guest && in_batch) {
        trace_count = 0;
    }
    in_guest = false;
    if (in_batch && trace_count < TRACE_MAX) {
        trace[trace_count++] = (uint64_t)(uintptr_t)data;
    }
}

// Of the machine's own firmware, which neither the hypervisor nor the guest can do without.
static void firmware_insn(unsigned cpu, void *data)
{
    (void)cpu;
    (void)data;
    executed++;
    fw_executed++;
    fw_count++;
}

static void other_insn(unsigned cpu, void *data)
{
    (void)cpu;
    (void)data;
    if (asleep && !in_guest) {
        fprintf(out, "switch %" PRIu64 "\n", executed - slept);
        asleep = false;
    }
    executed++;
    in_guest = true;
}

// The hypervisor's first: all that came before was the firmware, or its boot loader.
static void first_insn(unsigned cpu, void *data)
{
    if (start_pc) {
        start_pc = 0;
        fw_executed = executed;
        pages_written = 0;
        memset(writer, 0, sizeof(writer));
    }
    other_insn(cpu, data);
}

static void host_store(unsigned cpu, uint32_t info, uint64_t va, void *data)
{
    const struct qemu_plugin_hwaddr *h;
    uint64_t page;

    (void)cpu;
    // QEMU 7.2 reports loads to a callback that was registered for stores alone.
    if (started || !qemu_plugin_mem_is_store(info)) {
        return;
    }
    h = qemu_plugin_get_hwaddr(info, va);
    if (!h || qemu_plugin_hwaddr_is_io(h)) {
        return;
    }
    page = qemu_plugin_hwaddr_phys_addr(h) >> PAGE_SHIFT;
    if (page < RAM_PAGES && !writer[page]) {
        writer[page] = (uintptr_t)data;
        pages_written++;
    }
}

static void series_end(void)
{
    if (batches) {
        fprintf(out, "series %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", series, batches, best,
                fw_best);
    }
    if (want_trace) {
        fprintf(out, "trace %" PRIu64, series);
        for (unsigned i = 0; i < trace_count; i++) {
            fprintf(out, " %" PRIx64, trace[i]);
        }
        fprintf(out, "\n");
    }
    series++;
    batches = 0;
    trace_count = 0;
}

static void print_profile(void)
{
    for (uint64_t i = 0; i < PROFILE_SIZE && want_profile; i++) {
        if (profile[i]) {
            fprintf(out, "profile %" PRIx64 " %" PRIu64 "\n", image_va + (i << PROFILE_SHIFT), profile[i]);
        }
    }
}

static void entered(void)
{
    fprintf(out, "entry %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", executed, pages_written, fw_executed);
    print_profile();
    for (uint64_t i = 0; i < RAM_PAGES && want_profile; i++) {
        if (writer[i]) {
            fprintf(out, "page %" PRIx64 " %" PRIx64 "\n", i << PAGE_SHIFT, writer[i]);
        }
    }
}

static void mark_insn(unsigned cpu, void *data)
{
    other_insn(cpu, data);
    switch ((uintptr_t)data) {
    case MARK_BEGIN:
        in_batch = true;
        count = 0;
        fw_count = 0;
        break;
    case MARK_END:
        in_batch = false;
        if (batches == 0 || count + fw_count < best + fw_best) {
            best = count;
            fw_best = fw_count;
        }
        batches++;
        break;
    case MARK_SERIES:
        series_end();
        break;
    case MARK_ENTRY:
        if (!started) {
            entered();
        }
        started = true;
        break;
    case MARK_SLEEP:
        asleep = true;
        slept = executed;
        break;
    default:
        break;
    }
}

static unsigned mark_of(const struct qemu_plugin_insn *insn)
{
    uint32_t code, n;

    if (qemu_plugin_insn_size(insn) != sizeof(code)) {
        return MARK_NONE;
    }
    memcpy(&code, qemu_plugin_insn_data(insn), sizeof(code));
    n = (code & ~marks->mask) >> marks->shift;
    return (code & marks->mask) == marks->code && n > marks->first && n <= marks->first + MARK_SLEEP
               ? n - marks->first
               : MARK_NONE;
}

static bool only_clears(uint64_t pc)
{
    for (unsigned i = 0; i < clearing_count; i++) {
        if (pc >= clearing[i].first && pc < clearing[i].end) {
            return true;
        }
    }
    return false;
}

static void count_insn(struct qemu_plugin_insn *insn, uint64_t pc)
{
    insn_callback cb = other_insn;
    void *data = NULL;

    if (pc - image_va < IMAGE_SIZE) {
        cb = host_insn;
        data = (void *)(uintptr_t)pc;
    } else if (pc < firmware_end) {
        cb = firmware_insn;
    } else if (start_pc && pc == start_pc) {
        cb = first_insn;
    } else if (mark_of(insn) != MARK_NONE) {
        cb = mark_insn;
        data = (void *)(uintptr_t)mark_of(insn);
    }
    // The image's first instructions run at physical addresses.
    if (!started && cb != firmware_insn && !only_clears(pc)) {
        qemu_plugin_register_vcpu_mem_cb(insn, host_store, PLUGIN_NO_REGS, PLUGIN_MEM_WRITE,
                                         (void *)(uintptr_t)pc);
    }
    qemu_plugin_register_vcpu_insn_exec_cb(insn, cb, PLUGIN_NO_REGS, data);
}

static void print_total(void)
{
    uint64_t hypervisor = 0;

    for (uint64_t i = 0; i < PROFILE_SIZE; i++) {
        hypervisor += profile[i];
    }
    fprintf(out, "total %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", totals[0] + totals[1] + hypervisor,
            hypervisor, totals[1]);
    print_profile();
    total_printed = true;
}

static void off_store(unsigned cpu, uint32_t info, uint64_t va, void *data)
{
    const struct qemu_plugin_hwaddr *h;

    (void)cpu;
    (void)data;
    if (total_printed || (va ^ off_register) & PAGE_MASK || !qemu_plugin_mem_is_store(info)) {
        return;
    }
    h = qemu_plugin_get_hwaddr(info, va);
    if (h && qemu_plugin_hwaddr_is_io(h) && qemu_plugin_hwaddr_phys_addr(h) == off_register) {
        print_total();
    }
}

static void translate(plugin_id id, struct qemu_plugin_tb *tb)
{
    (void)id;
    for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
        uint64_t pc = qemu_plugin_insn_vaddr(insn);

        if (want_total) {
            // One counter for an instruction: QEMU 7.2 adds to the first only.
            bool hypervisor = pc - image_va < IMAGE_SIZE;
            uint64_t *counter = hypervisor ? profile_of(pc) : &totals[pc < firmware_end ? 1 : 0];
            qemu_plugin_register_vcpu_insn_exec_inline(insn, PLUGIN_INLINE_ADD, counter, 1);
            if (off_register) {
                qemu_plugin_register_vcpu_mem_cb(insn, off_store, PLUGIN_NO_REGS, PLUGIN_MEM_WRITE, NULL);
            }
        } else {
            count_insn(insn, pc);
        }
    }
}

static void at_exit(plugin_id id, void *data)
{
    (void)id;
    (void)data;
    if (want_total && !total_printed) {
        print_total();
    }
    fclose(out);
}

static void take_option(const char *name, const char *value)
{
    if (strcmp(name, "clear") == 0 && clearing_count < CLEARING_MAX && strchr(value, '-')) {
        clearing[clearing_count].first = strtoull(value, NULL, 0);
        clearing[clearing_count++].end = strtoull(strchr(value, '-') + 1, NULL, 0);
    }
    if (strcmp(name, "out") == 0) {
        out = fopen(value, "w");
    } else if (strcmp(name, "image") == 0) {
        image_va = strtoull(value, NULL, 0);
    } else if (strcmp(name, "firmware") == 0) {
        firmware_end = strtoull(value, NULL, 0);
    } else if (strcmp(name, "start") == 0) {
        start_pc = strtoull(value, NULL, 0);
    } else if (strcmp(name, "off") == 0) {
        off_register = strtoull(value, NULL, 0);
    } else if (strcmp(name, "trace") == 0) {
        want_trace = true;
    } else if (strcmp(name, "profile") == 0) {
        want_profile = true;
    } else if (strcmp(name, "total") == 0) {
        want_total = true;
    }
    for (size_t i = 0; i < sizeof(mark_codes) / sizeof(mark_codes[0]); i++) {
        if (strcmp(name, "arch") == 0 && strcmp(value, mark_codes[i].arch) == 0) {
            marks = &mark_codes[i];
        }
    }
}

int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv)
{
    (void)info;
    for (int i = 0; i < argc; i++) {
        char *value = strchr(argv[i], '=');

        if (value) {
            *value = 0;
            take_option(argv[i], value + 1);
        }
    }
    if (!out || !image_va) {
        fprintf(stderr, "bench_plugin: needs out=FILE, that can be written, and image=ADDRESS\n");
        return -1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, translate);
    qemu_plugin_register_atexit_cb(id, at_exit, NULL);
    return 0;
}
