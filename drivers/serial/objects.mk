driver-objs += drivers/serial/serial.o drivers/serial/pl011.o
