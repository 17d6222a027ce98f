common-objs += drivers/irqchip/gic_virt.o drivers/irqchip/gicv2_virt.o
ifeq ($(ARCH),aarch64)
driver-objs += drivers/irqchip/gic_common.o drivers/irqchip/gicv3.o drivers/irqchip/gicv3_virt.o drivers/irqchip/gicv2.o
endif
ifeq ($(ARCH),riscv64)
driver-objs += drivers/irqchip/riscv_intc.o drivers/irqchip/plic.o drivers/irqchip/aplic.o drivers/irqchip/imsic.o
endif
ifeq ($(ARCH),x86_64)
driver-objs += drivers/irqchip/apic.o
endif
