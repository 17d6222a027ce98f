common-objs += drivers/virtio/virtio_dev.o drivers/virtio/virtio_mmio.o drivers/virtio/vring.o
ifeq ($(ARCH),x86_64)
driver-objs += drivers/virtio/virtio_pci.o
endif
host-objs += drivers/virtio/virtio_pci.o
