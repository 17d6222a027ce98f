common-objs += vmm/devices/uart_port.o vmm/devices/vpl011.o vmm/devices/vpl031.o vmm/devices/v16550.o vmm/devices/vgoldfish_rtc.o vmm/devices/vsifive_test.o
common-objs += $(addprefix vmm/devices/,vports.o vpit.o vhpet.o vacpi_pm.o vcmos.o vkbc.o vpci_ports.o vpic.o)
