common-objs += vmm/backend/blk_ram.o vmm/backend/blk_disk.o
common-objs += vmm/backend/char_line.o vmm/backend/char_mux.o vmm/backend/char_mux_core.o vmm/backend/char_mux_screen.o
