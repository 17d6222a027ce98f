// SPDX-License-Identifier: Apache-2.0
//
// A TCG plugin for QEMU that checks what guests/bench measures, by counting executed instructions of the hypervisor.
//
// The guest marks the beginning and the end of each batch and the end of a series by instructions without effect
// (movz xzr, #MARK). An instruction is the hypervisor's when its address lies at or above IMAGE_VA. Results go to the
// file named by `out=`, a line each:
//   entry TOTAL PAGES        instructions of the whole machine before the guest's first, 4 KiB pages the hypervisor wrote
//   series N BATCHES COUNT   hypervisor instructions in the cheapest batch of series N
//   profile PC COUNT         the same instructions by address, every 16 bytes (with `profile=1`)
//   trace N PC...            all of them from the last entry into the hypervisor of that series (with `trace=1`)
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
    PLUGIN_MEM_WRITE = 2
};

typedef void (*tb_callback)(plugin_id id, struct qemu_plugin_tb *tb);
typedef void (*insn_callback)(unsigned cpu, void *data);
typedef void (*mem_callback)(unsigned cpu, uint32_t info, uint64_t va, void *data);
typedef void (*exit_callback)(plugin_id id, void *data);

void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id, tb_callback cb);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn, insn_callback cb, int flags,
                                            void *data);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *insn, mem_callback cb, int flags, int rw,
                                      void *data);
void qemu_plugin_register_atexit_cb(plugin_id id, exit_callback cb, void *data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t i);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);
struct qemu_plugin_hwaddr *qemu_plugin_get_hwaddr(uint32_t info, uint64_t va);
bool qemu_plugin_hwaddr_is_io(const struct qemu_plugin_hwaddr *h);
uint64_t qemu_plugin_hwaddr_phys_addr(const struct qemu_plugin_hwaddr *h);

EXPORT int qemu_plugin_version = 1;
EXPORT int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv);

#define IMAGE_VA UINT64_C(0x600000000000) // linker/sections.h
#define MOVZ_XZR 0xd280001fu
#define MARK_BEGIN 0x4c01u
#define MARK_END 0x4c02u
#define MARK_SERIES 0x4c03u
#define MARK_ENTRY 0x4c04u
#define PROFILE_SHIFT 4
#define PROFILE_SIZE (UINT64_C(1) << (20 - PROFILE_SHIFT)) // one MiB of text
#define TRACE_MAX 20000
#define PAGE_SHIFT 12
#define RAM_BASE UINT64_C(0x40000000)
#define RAM_PAGES (UINT64_C(1) << 20)

static FILE *out;
static bool want_trace, want_profile, in_guest = true, started, in_batch;
static uint64_t executed, count, best, batches, series, pages_written;
static uint64_t trace[TRACE_MAX];
static unsigned trace_count;
static uint64_t profile[PROFILE_SIZE];
static uint8_t written[RAM_PAGES / 8];

static void host_insn(unsigned cpu, void *data)
{
    (void)cpu;
    executed++;
    count++;
    if (!started) {
        profile[((uintptr_t)data - IMAGE_VA) >> PROFILE_SHIFT & (PROFILE_SIZE - 1)]++;
    }
    if (in_guest && in_batch) {
        trace_count = 0;
    }
    in_guest = false;
    if (in_batch && trace_count < TRACE_MAX) {
        trace[trace_count++] = (uint64_t)(uintptr_t)data;
    }
}

static void other_insn(unsigned cpu, void *data)
{
    (void)cpu;
    (void)data;
    executed++;
    in_guest = true;
}

static void host_store(unsigned cpu, uint32_t info, uint64_t va, void *data)
{
    const struct qemu_plugin_hwaddr *h = started ? NULL : qemu_plugin_get_hwaddr(info, va);
    uint64_t page;

    (void)cpu;
    (void)data;
    if (!h || qemu_plugin_hwaddr_is_io(h)) {
        return;
    }
    page = qemu_plugin_hwaddr_phys_addr(h) >> PAGE_SHIFT; // an offset into the machine's RAM
    if (page < RAM_PAGES && !(written[page / 8] >> page % 8 & 1)) {
        written[page / 8] = (uint8_t)(written[page / 8] | 1u << page % 8);
        pages_written++;
    }
}

static void series_end(void)
{
    if (batches) {
        fprintf(out, "series %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", series, batches, best);
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

static void entered(void)
{
    fprintf(out, "entry %" PRIu64 " %" PRIu64 "\n", executed, pages_written);
    for (uint64_t i = 0; i < PROFILE_SIZE && want_profile; i++) {
        if (profile[i]) {
            fprintf(out, "profile %" PRIx64 " %" PRIu64 "\n", IMAGE_VA + (i << PROFILE_SHIFT), profile[i]);
        }
    }
    for (uint64_t i = 0; i < RAM_PAGES && want_profile; i++) {
        if (written[i / 8] >> i % 8 & 1) {
            fprintf(out, "page %" PRIx64 "\n", i << PAGE_SHIFT);
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
        break;
    case MARK_END:
        in_batch = false;
        best = batches == 0 || count < best ? count : best;
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
    default:
        break;
    }
}

static void translate(plugin_id id, struct qemu_plugin_tb *tb)
{
    (void)id;
    for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
        uint64_t pc = qemu_plugin_insn_vaddr(insn);
        uint32_t code;

        memcpy(&code, qemu_plugin_insn_data(insn), sizeof(code));
        if (!started) { // the image's first instructions run at physical addresses
            qemu_plugin_register_vcpu_mem_cb(insn, host_store, PLUGIN_NO_REGS, PLUGIN_MEM_WRITE, NULL);
        }
        if (pc >= IMAGE_VA) {
            qemu_plugin_register_vcpu_insn_exec_cb(insn, host_insn, PLUGIN_NO_REGS, (void *)(uintptr_t)pc);
        } else if ((code & 0xffe0001f) == MOVZ_XZR) {
            qemu_plugin_register_vcpu_insn_exec_cb(insn, mark_insn, PLUGIN_NO_REGS,
                                                   (void *)(uintptr_t)(code >> 5 & 0xffff));
        } else {
            qemu_plugin_register_vcpu_insn_exec_cb(insn, other_insn, PLUGIN_NO_REGS, NULL);
        }
    }
}

static void at_exit(plugin_id id, void *data)
{
    (void)id;
    (void)data;
    fclose(out);
}

int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv)
{
    (void)info;
    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], "out=", 4) == 0) {
            out = fopen(argv[i] + 4, "w");
        } else if (strcmp(argv[i], "trace=1") == 0) {
            want_trace = true;
        } else if (strcmp(argv[i], "profile=1") == 0) {
            want_profile = true;
        }
    }
    if (!out) {
        fprintf(stderr, "bench_plugin: out=FILE is missing or cannot be written\n");
        return -1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, translate);
    qemu_plugin_register_atexit_cb(id, at_exit, NULL);
    return 0;
}
