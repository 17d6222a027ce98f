driver-objs += drivers/block/virtio_blk.o drivers/block/virtio_blk_mmio.o
ifeq ($(ARCH),x86_64)
driver-objs += $(addprefix drivers/block/,virtio_blk_pci.o ata.o ide.o)
endif
host-objs += drivers/block/ata.o # tested here
