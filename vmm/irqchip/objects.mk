# SPDX-License-Identifier: Apache-2.0
common-objs += $(addprefix vmm/irqchip/,vgic.o vgic_dist.o vgic_redist.o vgic_regs_shared.o vgic_lr.o vgic_sgi.o vgic_save.o)
