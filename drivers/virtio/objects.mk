common-objs += drivers/virtio/vring.o
driver-objs += drivers/virtio/virtio_mmio.o
