driver-objs += drivers/block/virtio_blk.o
