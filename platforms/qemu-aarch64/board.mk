# QEMU's `virt` machine.
board-objs += platforms/qemu-aarch64/board.o
