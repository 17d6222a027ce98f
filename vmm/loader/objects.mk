common-objs += vmm/loader/image.o vmm/loader/image_linux.o vmm/loader/image_elf64.o vmm/loader/image_raw.o vmm/loader/rv_entry.o
common-objs += vmm/loader/gzip.o vmm/loader/layout.o vmm/loader/loader.o vmm/loader/source.o
common-objs += vmm/loader/image_bzimage.o vmm/loader/image_pvh.o vmm/loader/image_multiboot.o vmm/loader/loader_pc.o
