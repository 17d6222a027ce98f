driver-objs += drivers/rtc/pl031.o drivers/rtc/goldfish_rtc.o drivers/rtc/mc146818.o
