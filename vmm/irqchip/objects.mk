common-objs += $(addprefix vmm/irqchip/,vgic.o vgic_dist.o vgic_redist.o vgic_regs_shared.o)
common-objs += $(addprefix vmm/irqchip/,vgic_route.o vgic_lr.o vgic_flush.o vgic_see.o vgic_fast.o vgic_switch.o vgic_sgi.o vgic_save.o)
common-objs += $(addprefix vmm/irqchip/,vgic_dist_v2.o vgic_cpuif.o vgic_cpuif_regs.o)
common-objs += $(addprefix vmm/irqchip/,vplic.o vplic_regs.o vaia.o vaplic.o vimsic.o)
common-objs += $(addprefix vmm/irqchip/,vapic.o vapic_page.o vlapic.o vlapic_timer.o vioapic.o)
common-objs += vmm/irqchip/virqchip_none.o
