main-objs += $(addprefix vmm/manage/,manager.o guest_memory.o host_config.o vm_board.o seed.o console.o)
