arch-objs += $(addprefix arch/aarch64/, \
  boot/entry.o boot/boot.o \
  cpu/vectors.o cpu/trap.o cpu/cpu.o cpu/psci.o cpu/time.o cpu/string.o cpu/builtins.o \
  mmu/mmu.o mmu/seal.o \
  virt/exit_asm.o virt/exit.o virt/fp.o virt/switch.o virt/inject.o virt/mmio.o virt/a64_mmio.o virt/a64_decode.o \
  virt/smccc.o virt/smccc_services.o virt/sysreg.o virt/idregs.o virt/vcpu.o virt/virt.o)
