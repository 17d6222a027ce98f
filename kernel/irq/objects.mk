common-objs += kernel/irq/irq.o
