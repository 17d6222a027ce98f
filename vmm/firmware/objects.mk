common-objs += vmm/firmware/vm_fdt.o vmm/firmware/vm_fdt_patch.o vmm/firmware/fdt_builder.o
common-objs += vmm/firmware/vm_fdt_aarch64.o vmm/firmware/vm_fdt_riscv64.o vmm/firmware/pc_start_info.o
common-objs += $(addprefix vmm/firmware/,pc_tables.o pc_memory.o acpi_build.o aml.o mp_table.o pc_linux.o pc_multiboot.o)
