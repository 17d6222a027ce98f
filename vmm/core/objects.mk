common-objs += vmm/core/gmem.o vmm/core/io_bus.o vmm/core/vdev.o vmm/core/vreg.o
common-objs += vmm/core/vm.o vmm/core/vm_state.o vmm/core/vcpu.o vmm/core/run.o vmm/core/call.o vmm/core/stolen.o vmm/core/fault.o
