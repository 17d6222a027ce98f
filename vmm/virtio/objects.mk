common-objs += vmm/virtio/virtio_empty.o
common-objs += vmm/virtio/virtqueue.o vmm/virtio/virtio.o vmm/virtio/virtio_mmio.o
common-objs += vmm/virtio/virtio_blk.o vmm/virtio/virtio_console.o
