common-objs += kernel/fs/diskio.o kernel/fs/fat.o kernel/fs/fat_extents.o
