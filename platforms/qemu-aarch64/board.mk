# QEMU's `virt` machine.
board-objs +=
