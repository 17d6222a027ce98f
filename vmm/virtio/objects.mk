common-objs += vmm/virtio/virtqueue.o vmm/virtio/virtio.o vmm/virtio/virtio_mmio.o
