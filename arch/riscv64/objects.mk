arch-objs += $(addprefix arch/riscv64/, \
  boot/entry.o boot/boot.o \
  cpu/vectors.o cpu/trap.o cpu/cpu.o cpu/sbi.o cpu/isa.o cpu/time.o cpu/string.o cpu/builtins.o cpu/atomics.o \
  mmu/mmu.o mmu/seal.o \
  virt/exit_asm.o virt/exit.o virt/fp.o virt/vec.o virt/fpv.o virt/inject.o virt/aia.o virt/irq_files.o virt/mmio.o virt/rv_decode.o virt/vtimer.o \
  virt/sbi.o virt/sbi_smp.o virt/sbi_legacy.o virt/vcpu.o virt/virt.o virt/translate.o)
