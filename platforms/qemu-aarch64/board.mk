# QEMU's `virt` machine.
board-objs += platforms/qemu-aarch64/board.o
# No emulated CPU has Cortex-A53's erratum 843419. For a board with that core leave this out: the linker's detours then cost 4 KB
# of text each.
arch-ldflags += -mno-fix-cortex-a53-843419
