common-objs += $(addprefix vmm/manage/,manager.o vm_life.o vm_table.o restart.o guest_irqs.o guest_memory.o extents.o)
common-objs += $(addprefix vmm/manage/,host_config.o vm_board.o console.o)
common-objs += $(addprefix vmm/manage/,board_aarch64.o board_riscv64.o board_x86_64.o)
common-objs += $(addprefix vmm/manage/,shell_console.o shell_vm.o shell_vcpu.o shell_machine.o)
