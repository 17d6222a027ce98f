common-objs += vmm/firmware/vm_fdt.o vmm/firmware/vm_fdt_patch.o
