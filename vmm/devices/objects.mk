common-objs += vmm/devices/vpl011.o vmm/devices/vpl031.o
