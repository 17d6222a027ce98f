arch-objs += $(addprefix arch/x86_64/, \
  boot/entry.o boot/boot.o \
  cpu/vectors.o cpu/trap.o cpu/cpu.o cpu/desc.o cpu/lapic.o cpu/time.o cpu/reference.o cpu/entropy.o cpu/string.o cpu/builtins.o \
  mmu/mmu.o mmu/shootdown.o mmu/seal.o \
  virt/virt.o virt/vcpu.o virt/entry_modes.o virt/exit.o virt/cpuid.o virt/msr.o virt/walk.o virt/fp.o virt/fp_switch.o \
  virt/x86_decode.o virt/x86_alu.o virt/x86_forms.o virt/x86_emulate.o virt/x86_string.o virt/x86_vector.o \
  virt/x86_segment.o virt/x86_walk.o virt/mmio.o virt/mmio_move.o virt/priority.o virt/kvm_msr.o virt/pvclock.o \
  vmx/vmx.o vmx/vmx_vmcs.o vmx/vmx_setup.o vmx/vmx_regs.o vmx/vmx_intercept.o vmx/vmx_exit.o vmx/vmx_controls.o vmx/vmx_enter.o \
  vmx/vmx_apic.o vmx/vmx_apic_page.o \
  svm/svm.o svm/svm_exit.o svm/svm_regs.o svm/svm_nmi.o svm/svm_enter.o)
