host-objs += $(addprefix arch/host/,boot.o cpu.o irqchip.o time.o mmu.o virt.o)
host-objs += arch/aarch64/virt/a64_decode.o arch/riscv64/virt/rv_decode.o \
  $(addprefix arch/x86_64/virt/,x86_decode.o x86_alu.o x86_forms.o x86_emulate.o x86_string.o x86_vector.o) \
  $(addprefix arch/x86_64/virt/,x86_segment.o x86_walk.o priority.o pvclock.o) \
  $(addprefix arch/x86_64/vmx/,vmx_controls.o vmx_exit.o vmx_apic_page.o) # pure: tested and fuzzed here
