common-objs += $(addprefix kernel/dev/,boot_ranges.o fdt_check.o fdt_read.o fdt_boot.o fdt_enum.o)
common-objs += kernel/dev/firmware.o kernel/dev/pc_boot.o kernel/dev/acpi.o
common-objs += kernel/dev/hw.o kernel/dev/probe.o kernel/dev/random.o kernel/dev/block.o kernel/dev/block_ram.o
