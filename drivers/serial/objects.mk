driver-objs += drivers/serial/pl011.o
