# SPDX-License-Identifier: Apache-2.0
# Tiny guests of our own: $(B)/guests/<name>.bin (raw, runs at any 4 KiB-aligned address) and .elf. They need only the
# compiler: no library, no scripts/setup. A folder guests/<name>/ with C files is a guest where guests/lib/$(ARCH) exists;
# one with parts for some architectures only on those.

guest-lib   := $(sort $(wildcard guests/lib/*.c guests/lib/$(ARCH)/*.c guests/lib/$(ARCH)/*.S))
guest-names := $(if $(wildcard guests/lib/$(ARCH)/guest.ld),\
                 $(filter-out lib,$(sort $(notdir $(patsubst %/,%,$(dir $(wildcard guests/*/*.c)))))))
guest-names := $(foreach n,$(guest-names),$(if $(wildcard guests/$(n)/*/*.c),$(if $(wildcard guests/$(n)/$(ARCH)),$(n)),$(n)))
guest-arch-flags-aarch64 := -march=armv8-a -mgeneral-regs-only -mstrict-align
guest-arch-flags-riscv64 := -march=rv64imac_zicsr_zifencei -mabi=lp64 -mcmodel=medany -mno-relax -mstrict-align \
                            -msmall-data-limit=0
guest-arch-flags-x86_64  := -m64 -mgeneral-regs-only -mno-red-zone -fcf-protection=none
guest-cflags = -std=gnu2x -g -O2 $(warnings) -I. -ffile-prefix-map=$(CURDIR)=. -MMD -MP -nostdinc \
               -isystem $(shell $(CC) -print-file-name=include) -ffreestanding -fpie -fvisibility=hidden \
               -fno-stack-protector -fno-tree-loop-distribute-patterns -ffunction-sections -fdata-sections \
               $(guest-arch-flags-$(ARCH))
guest-ldflags := -nostdlib -pie -Wl,--no-dynamic-linker -Wl,-z,norelro -Wl,-z,max-page-size=4096 -Wl,-z,text \
                 -Wl,--build-id=none -Wl,--gc-sections -Wl,--no-warn-rwx-segments
guest-objects = $(patsubst %,$(B)/%.o,$(basename $(1)))
guest-sources = $(sort $(wildcard guests/$(1)/*.c guests/$(1)/$(ARCH)/*.c guests/$(1)/$(ARCH)/*.S))

guests: $(foreach n,$(guest-names),$(B)/guests/$(n).bin)

$(B)/guests/%.o: guests/%.c
	@mkdir -p $(@D)
	$(call say,GUESTCC,$<)
	$(Q)$(CC) $(guest-cflags) -c -o $@ $<

$(B)/guests/%.o: guests/%.S
	@mkdir -p $(@D)
	$(call say,GUESTAS,$<)
	$(Q)$(CC) $(filter-out -std=%,$(guest-cflags)) -c -o $@ $<

# The guest that people look at: the shell shows its callers.
$(B)/guests/heartbeat/heartbeat.o: private guest-arch-flags-$(ARCH) += -fno-omit-frame-pointer

define guest-rules
$(B)/guests/$(1).elf: $(call guest-objects,$(call guest-sources,$(1)) $(guest-lib)) guests/lib/$(ARCH)/guest.ld
	$$(call say,GUEST,$$@)
	$$(Q)$$(CC) $$(guest-ldflags) -T guests/lib/$(ARCH)/guest.ld -o $$@ $$(filter %.o,$$^)
$(B)/guests/$(1).bin: $(B)/guests/$(1).elf
	$$(Q)$$(OBJCOPY) -O binary $$< $$@
endef
$(foreach n,$(guest-names),$(eval $(call guest-rules,$(n))))

-include $(shell find $(B)/guests -name '*.d' 2>/dev/null)
