common-objs += drivers/virtio/vring.o drivers/virtio/virtio_mmio.o
