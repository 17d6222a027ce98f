# QEMU's q35 PC.
board-objs += platforms/qemu-x86_64/board.o
