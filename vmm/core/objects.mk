common-objs += vmm/core/gmem.o vmm/core/io_bus.o vmm/core/vdev.o vmm/core/vreg.o
