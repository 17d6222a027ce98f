common-objs += kernel/dev/boot_ranges.o kernel/dev/fdt_read.o kernel/dev/fdt_boot.o kernel/dev/fdt_enum.o
common-objs += kernel/dev/firmware.o kernel/dev/pc_boot.o kernel/dev/acpi.o
common-objs += kernel/dev/hw.o kernel/dev/probe.o kernel/dev/random.o kernel/dev/block.o kernel/dev/block_ram.o
