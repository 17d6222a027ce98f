# SPDX-License-Identifier: Apache-2.0
# Lodge: one build. `make help` explains it. Objects are listed by the objects.mk of each folder.

ARCH     ?= aarch64
PLATFORM ?= qemu-$(ARCH)
CONFIG   ?= configs/two-guests.toml
LOG      ?=
SMP      ?= 2
MEM      ?= 1G
LODGE_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/lodge
export LOG LODGE_CACHE ARCH PLATFORM SMP MEM

PYTHON := /usr/bin/python3
Q      := $(if $(V),,@)
say     = @$(if $(V),:,printf '  %-7s %s\n' '$(1)' '$(2)')
B      := build/$(PLATFORM)
OUT    ?= $(B)# folder of the image alone: tests make many from the same objects
export OUT
H      := build/host
DEPS    = $(LODGE_CACHE)/deps/$(ARCH)
HDEPS  := $(LODGE_CACHE)/deps/host
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unversioned)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules
FORCE:

# ---- toolchain ---------------------------------------------------------------------------------------------------
include arch/$(ARCH)/arch.mk
CROSS_COMPILE ?= $(firstword $(foreach p,$(cross-prefixes),$(if $(shell command -v $(p)gcc),$(p))) $(lastword $(cross-prefixes)))
export CROSS_COMPILE
CC      := $(CROSS_COMPILE)gcc
OBJCOPY := $(CROSS_COMPILE)objcopy
HOSTCC  := gcc
FUZZCC  := clang

warnings := -Wall -Wextra -Wconversion -Wsign-conversion -Wshadow -Wundef -Wvla -Wcast-qual -Wmissing-prototypes \
            -Wswitch-enum -Werror
common-flags := -std=gnu2x -g $(warnings) -I. -ffile-prefix-map=$(CURDIR)=. -MMD -MP -fno-common
cflags = $(common-flags) -Os -Iarch/$(ARCH)/include -nostdinc -isystem $(DEPS)/include \
         -isystem $(shell $(CC) -print-file-name=include) -ffreestanding -fno-pic -fno-omit-frame-pointer \
         -ffunction-sections -fdata-sections -fstack-protector-strong -mstack-protector-guard=global \
         -DLODGE_VERSION='"$(VERSION)"' -DLODGE_ARCH='"$(ARCH)"' -DLODGE_ALL_BOARDS=0 $(if $(DEBUG),-DLODGE_DEBUG=1,-DLODGE_DEBUG=0) $(arch-cflags)
host-flags := $(common-flags) -O1 -Iarch/host/include -isystem $(HDEPS)/include -D_GNU_SOURCE -DLODGE_DEBUG=1 \
              -DLODGE_VERSION='"host"' -DLODGE_ARCH='"aarch64"' -DLODGE_ALL_BOARDS=1 -fno-omit-frame-pointer
sanitize := -fsanitize=address,undefined -fno-sanitize-recover=all

# ---- what there is -----------------------------------------------------------------------------------------------
# common-objs: kernel and vmm, for the image and the host library; driver-objs, arch-objs, board-objs: image only;
# host-objs: arch/host; tool-objs: the part of common-objs that vmconf links.
include $(wildcard kernel/objects.mk kernel/*/objects.mk drivers/*/objects.mk vmm/*/objects.mk)
include $(wildcard arch/$(ARCH)/objects.mk) arch/host/objects.mk platforms/$(PLATFORM)/board.mk
image-objs := $(addprefix $(B)/,$(common-objs) $(driver-objs) $(arch-objs) $(board-objs) $(main-objs) $(selftest-objs)) $(OUT)/embed.o
core-objs  := $(filter-out $(OUT)/embed.o,$(image-objs))
host-lib   := $(H)/liblodge.a

# ---- image -------------------------------------------------------------------------------------------------------
.PHONY: all image run disk iso test check unit qemu-test selftest soak fuzz setup clean help guests vmconf
all image: $(OUT)/lodge.bin $(OUT)/lodge.elf
ready := $(DEPS)/.ready

$(ready):
	+$(Q)scripts/setup --arch $(ARCH),host --allow-missing-guests

# Objects of other flags (DEBUG=1, another compiler), or of another version for the banner, are not up to date.
$(B)/.flags $(B)/.version: FORCE
	@mkdir -p $(@D); echo "$$NOW" | cmp -s - $@ || echo "$$NOW" > $@
$(B)/.flags: private export NOW = $(CC) $(filter-out -DLODGE_VERSION=%,$(cflags)) $(arch-hot-cflags) $(fast-cflags) $(hot) / $(fast) / $(slow)
$(B)/.version: private export NOW = $(VERSION)
$(B)/kernel/main.o: $(B)/.version

# Small is the rule. What every exit runs is fast, and the architecture may have cheaper frames for it; so is what moves data.
hot := arch/$(ARCH)/virt/% vmm/core/run.% vmm/core/vreg.% vmm/core/io_bus.% vmm/core/vcpu.% vmm/irqchip/% vmm/devices/% \
       vmm/virtio/virtio_mmio.% kernel/irq/% kernel/sched/% kernel/sync/% kernel/time/% drivers/irqchip/% $(arch-hot)
fast := $(hot) arch/$(ARCH)/cpu/% arch/$(ARCH)/mmu/% kernel/cpu/% kernel/dev/fdt_read.% kernel/lib/early_map.% kernel/mm/p% \
        vmm/core/call.% vmm/core/gmem.% vmm/core/stolen.% vmm/virtio/virt% vmm/backend/blk_ram.% vmm/manage/guest_irqs.%
slow := $(addprefix vmm/irqchip/vgic_,save.% see.% redist.% regs_shared.%) $(addprefix arch/$(ARCH)/virt/,a64_% idregs.% sysreg.%) \
        $(addprefix kernel/sched/,thread.% balance.% wait.% mutex.%) $(addprefix vmm/devices/,vpl011.% vpl031.% vgoldfish_rtc.%) \
        vmm/virtio/virtio_blk.%
# Aligned, functions take 5 KB more and no instruction less.
fast-cflags := -O2 $(addprefix -fno-align-,functions loops jumps labels)
$(B)/%.o: %.c $(B)/.flags | $(ready)
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(cflags) $(if $(filter $(hot),$<),$(arch-hot-cflags)) $(if $(filter $(fast),$(filter-out $(slow),$<)),$(fast-cflags)) -c -o $@ $<

$(B)/%.o: %.S $(B)/.flags | $(ready)
	@mkdir -p $(@D)
	$(call say,AS,$<)
	$(Q)$(CC) $(filter-out -std=%,$(cflags)) -D__ASSEMBLER__ -c -o $@ $<

$(B)/asm-offsets.h: arch/$(ARCH)/asm-offsets.c $(B)/.flags | $(ready)
	@mkdir -p $(@D)
	$(Q)$(CC) $(cflags) -MF $(B)/asm-offsets.d -MT $@ -S -o $(B)/asm-offsets.s $<
	$(Q)sed -n 's/^.*->\([A-Z0-9_]*\) [#$$]*\([0-9]*\).*/#define \1 \2/p' $(B)/asm-offsets.s > $@
$(addprefix $(B)/,$(filter arch/$(ARCH)/%,$(arch-objs))): $(B)/asm-offsets.h
cflags += -I$(B)

# Embedded files: vmconf says which ones the configuration names.
$(OUT)/embed.S: FORCE $(H)/vmconf guests
	@mkdir -p $(@D)
	$(Q)scripts/gen_embed $(H)/vmconf $(B) $@ $(CONFIG)
$(OUT)/embed.o: $(OUT)/embed.S
	$(call say,EMBED,$(CONFIG))
	$(Q)$(CC) $(arch-cflags) -c -o $@ $<

$(B)/lodge.ld: linker/$(ARCH).ld.S
	@mkdir -p $(@D)
	$(Q)$(CC) -E -P -x assembler-with-cpp -I. -MMD -MP -MF $@.d -MT $@ -o $@ $<

link = $(CC) $(arch-ldflags) -nostdlib -static -no-pie -Wl,--gc-sections -Wl,--build-id=none -Wl,--fatal-warnings \
       -Wl,-z,max-page-size=4096 -Wl,-z,noexecstack -T $(B)/lodge.ld
libs := $(addprefix $(DEPS)/lib/,libfdt.a libfatfs.a libz.a libc.a)
$(libs): | $(ready) ;

# Linked without the table of function names first, to know where the functions are.
symbols := $(B)/symbols$(if $(SELFTEST),-selftest)
$(symbols).S: $(core-objs) $(libs) $(B)/lodge.ld scripts/gen_symbols
	$(call say,SYMBOLS,$@)
	$(Q)$(link) -Wl,--defsym=symbol_table=image_start -o $(@:.S=.elf) $(core-objs) $(libs)
	$(Q)scripts/gen_symbols $(CROSS_COMPILE) $(@:.S=.elf) $@
$(symbols).o: $(symbols).S
	$(Q)$(CC) $(arch-cflags) -c -o $@ $<

$(OUT)/lodge.elf: $(image-objs) $(symbols).o $(libs) $(B)/lodge.ld
	$(call say,LINK,$@)
	$(Q)$(link) -Wl,-Map=$(OUT)/lodge.map -o $@ $(filter %.o,$^) $(libs)
	$(Q)scripts/gen_symbols --check $(CROSS_COMPILE) $(symbols).elf $@

$(OUT)/lodge.bin: $(OUT)/lodge.elf
	$(call say,IMAGE,$@)
	$(Q)$(OBJCOPY) -O binary $< $@

# ---- guests of our own -------------------------------------------------------------------------------------------
include guests/guests.mk

# ---- run ---------------------------------------------------------------------------------------------------------
# Only here may a Debian kernel that could not be fetched be replaced by heartbeats.
run: export LODGE_ALLOW_FALLBACK = 1
run: image $(if $(DISK),,disk)
	$(Q)scripts/qemu run $(OUT)

disk: $(H)/vmconf guests
	$(Q)scripts/make_disk $(H)/vmconf $(B) $(CONFIG)

iso: $(OUT)/lodge.iso
$(OUT)/lodge.iso: $(OUT)/lodge.elf scripts/make_iso
	$(call say,ISO,$@)
	$(Q)scripts/make_iso $< $@

setup:
	$(Q)scripts/setup --arch $(ARCH),host --tests --checks --fuzz --qemu10

# ---- host: library, vmconf, unit tests, fuzzing ------------------------------------------------------------------
$(HDEPS)/.ready: $(ready)
host-all-objs := $(addprefix $(H)/obj/,$(common-objs) $(host-objs))

$(H)/obj/%.o: %.c | $(ready)
	@mkdir -p $(@D)
	$(call say,HOSTCC,$<)
	$(Q)$(HOSTCC) $(host-flags) $(sanitize) -c -o $@ $<

$(host-lib): $(host-all-objs)
	$(Q)rm -f $@; ar rcsD $@ $^

$(H)/tool/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(HOSTCC) $(host-flags) -c -o $@ $<

vmconf: $(H)/vmconf
$(H)/vmconf: $(addprefix $(H)/tool/,$(tool-objs) $(patsubst %.c,%.o,$(wildcard tools/vmconf/*.c)))
	$(call say,TOOL,$@)
	$(Q)$(HOSTCC) -o $@ $^

unit-src  := $(shell find tests/unit -name 'test_*.c')
unit-bins := $(patsubst tests/unit/%.c,$(H)/unit/%,$(if $(T),$(filter %/$(T).c,$(unit-src)),$(unit-src)))
unit-lib  := $(patsubst %.c,$(H)/obj/%.o,$(wildcard tests/unit/lib/*.c))
$(H)/unit/%: tests/unit/%.c $(unit-lib) $(host-lib)
	@mkdir -p $(@D)
	$(call say,UNIT,$*)
	$(Q)$(HOSTCC) $(host-flags) $(sanitize) -MF $@.d -MT $@ -o $@ $< $(objs-$(notdir $*)) $(unit-lib) -Wl,--start-group $(host-lib) \
	  $(HDEPS)/lib/libfdt.a $(HDEPS)/lib/libfatfs.a $(HDEPS)/lib/libz.a -Wl,--end-group -lcmocka $(ldlibs-$(notdir $*))

ldlibs-test_x86_decode := -lcapstone

# Code of aarch64 that needs nothing but its own headers, in place of arch/host's.
objs-test_smccc := $(addprefix $(H)/aarch64/arch/aarch64/virt/,smccc.o smccc_services.o)
test-smccc := $(H)/unit/arch/aarch64/virt/test_smccc
$(test-smccc): $(objs-test_smccc)
$(test-smccc) $(objs-test_smccc): private host-flags := $(subst arch/host,arch/aarch64,$(host-flags))
$(H)/aarch64/%.o: %.c | $(ready)
	@mkdir -p $(@D)
	$(call say,HOSTCC,$<)
	$(Q)$(HOSTCC) $(host-flags) $(sanitize) -c -o $@ $<

unit: $(unit-bins)
	$(Q)$(PYTHON) tests/run_unit.py $(unit-bins)

fuzz-src  := $(wildcard tests/fuzz/fuzz_*.c)
fuzz-bins := $(patsubst tests/fuzz/%.c,$(H)/fuzz/%,$(if $(T),$(filter %/$(T).c,$(fuzz-src)),$(fuzz-src)))
fuzz-flags := $(filter-out -O1,$(host-flags)) -O1 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
$(H)/fuzz/obj/%.o: %.c | $(ready)
	@mkdir -p $(@D)
	$(Q)$(FUZZCC) $(fuzz-flags) -c -o $@ $<
$(H)/fuzz/liblodge.a: $(addprefix $(H)/fuzz/obj/,$(common-objs) $(host-objs))
	$(Q)rm -f $@; ar rcsD $@ $^
$(H)/fuzz/%: tests/fuzz/%.c $(H)/fuzz/liblodge.a
	$(call say,FUZZ,$*)
	$(Q)$(FUZZCC) $(fuzz-flags) -fsanitize=fuzzer -MF $@.d -MT $@ -o $@ $< -Wl,--start-group $(H)/fuzz/liblodge.a \
	  $(HDEPS)/lib/libfdt.a $(HDEPS)/lib/libfatfs.a $(HDEPS)/lib/libz.a -Wl,--end-group
RUNS ?= 20000
fuzz: $(fuzz-bins)
	$(Q)$(PYTHON) tests/run_fuzz.py --runs $(RUNS) $(fuzz-bins)

# ---- tests -------------------------------------------------------------------------------------------------------
check: private export TARGET_CC = $(CC) $(cflags)
check: private export HOST_CC = $(HOSTCC) $(host-flags)
check: image
	$(Q)$(PYTHON) scripts/check.py --build $(OUT) --cross $(CROSS_COMPILE) $(T)
selftest: $(ready)
	$(Q)$(PYTHON) tests/run_qemu.py --select selftest
qemu-test: $(ready)
	$(Q)$(PYTHON) tests/run_qemu.py $(if $(T),--select "$(T)")
soak: $(ready)
	$(Q)$(PYTHON) tests/soak.py --minutes $(or $(MIN),30) --smp $(SMP)
bench: $(ready)
	$(Q)$(PYTHON) tests/bench.py $(BENCH)
test:
	$(Q)$(PYTHON) tests/run_all.py $(PARTS)

compile_commands.json: private export TARGET_CC = $(CC) $(cflags)
compile_commands.json: FORCE
	$(Q)$(PYTHON) scripts/compile_commands.py $(B) $(filter $(B)/%,$(image-objs)) > $@

clean:
	$(Q)rm -rf build compile_commands.json

help:
	@cat scripts/help.txt

-include $(image-objs:.o=.d) $(host-all-objs:.o=.d) $(B)/lodge.ld.d $(B)/asm-offsets.d \
  $(shell find $(H)/unit $(H)/aarch64 $(H)/fuzz $(H)/tool -name '*.d' 2>/dev/null)
