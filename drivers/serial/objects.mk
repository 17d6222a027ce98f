driver-objs += drivers/serial/pl011.o
driver-objs += drivers/serial/ns16550.o
