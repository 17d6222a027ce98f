# QEMU's `virt` machine.
board-objs += platforms/qemu-riscv64/board.o
