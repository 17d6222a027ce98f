common-objs += kernel/cpu/cpu.o
