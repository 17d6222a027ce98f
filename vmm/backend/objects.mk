common-objs += vmm/backend/blk_ram.o vmm/backend/blk_disk.o
