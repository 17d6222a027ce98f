host-objs += $(addprefix arch/host/,boot.o cpu.o irqchip.o time.o mmu.o virt.o)
