# SPDX-License-Identifier: Apache-2.0
"""Linux and heartbeat beside each other: the main job."""
import pytest
from lodge import BOOT_LIMIT, FACTS, Disk, Image, Machine, guest_file, vm
from scenarios import HEARTBEAT, host, linux

TWO = linux(memory="256M", more='on_crash = "restart"') + HEARTBEAT


def check_meminfo(m, mib):
    total = int(m.shell("dmesg | grep Memory:", r"Memory: \d+K/(\d+)K available").group(1)) / 1024
    assert mib - 4 <= total <= mib, f"{total} MiB of {mib}"


@pytest.mark.parametrize("smp", [1, 2])
def test_two_guests(smp):
    """The default configuration: boots both; Linux answers, the heartbeat goes on; poweroff ends Linux alone."""
    with Machine(Image(TWO), smp=smp, extra="-rtc base=2031-05-04T03:02:01") as m:
        m.linux_up()
        m.shell("uname -a", rf"Linux \S+ \S+ .*{FACTS['uname']} GNU/Linux")
        check_meminfo(m, 256)
        m.shell("date +year%Y", r"year\d{4}")  # a user program reads the counter itself
        m.shell("cat /sys/class/rtc/rtc0/date", r"2031-05-04")  # as the machine's own clock says
        m.heartbeat_goes_on("heartbeat")
        m.enter("poweroff")
        m.expect(r"\[linux\] is off")
        m.heartbeat_goes_on("heartbeat")


def test_newer_qemu():
    with Machine(Image(TWO), qemu=10, cpu="max") as m:
        m.linux_up()
        m.shell("uname -a", rf"Linux \S+ \S+ .*{FACTS['uname']} GNU/Linux")
        m.heartbeat_goes_on("heartbeat")


def test_default_configuration(work):
    """configs/two-guests.toml as it is, with the disk that `make disk` would make."""
    disk = Disk(f"{work}/disk.img", 96, {"/linux.img": 64 << 20})
    with Machine(Image("configs/two-guests.toml"), disk=disk) as m:
        m.linux_up()
        m.shell("cat /proc/partitions", r"\b65536 vda")
        m.heartbeat_goes_on("heartbeat")


def test_both_answer():
    with Machine(Image(TWO)) as m:
        m.linux_up()
        m.key("n")
        m.enter("status")
        m.expect(r"\[heartbeat\] status: heartbeat \d+, counter \d+ at \d+ Hz, " + FACTS["status"] + ", 16 MiB")
        m.key("n")
        m.shell("echo 6''7", r"\b67\b")


def test_linux_reboots_itself():
    with Machine(Image(TWO)) as m:
        m.linux_up()
        m.enter("reboot")
        m.expect(r"\[linux\] (?:resets itself|starts again)")
        m.linux_up()
        m.heartbeat_goes_on("heartbeat")


def test_killed_guest_leaves_the_other():
    """heartbeat dies; Linux does not notice."""
    with Machine(Image(TWO)) as m:
        m.linux_up()
        m.key("n")
        m.enter("crash")
        m.expect(FACTS["exception"] + r"|guest 'heartbeat' stopped")
        m.key("n")
        m.shell("uname -r", r"\d+\.\d+\.\S+")
        check_meminfo(m, 256)


def test_heartbeat_reset():
    with Machine(Image(HEARTBEAT + vm("other", "heartbeat"))) as m:
        m.expect(r"\[heartbeat\] heartbeat 3")
        m.enter("reset")
        m.expect(r"\[heartbeat\] (?:resets itself|starts again)")
        m.expect(r"\[heartbeat\] heartbeat 1\b")
        m.heartbeat_goes_on("other")


def test_two_linux():
    with Machine(Image(linux("red", more='') + linux("blue")), mem="1G") as m:
        seen = set()
        while len(seen) < 2:
            seen.add(m.expect(r"\[(red|blue)\] Debian's Linux", timeout=BOOT_LIMIT).group(1))
        m.type("\r")
        m.shell("uname -s", r"\bLinux\b")
        m.key("n")
        m.shell("uname -s", r"\bLinux\b")


def test_timers_keep_time():
    """Ten seconds of a guest's clock are ten seconds of ours, on a shared core, while Linux works."""
    import time
    with Machine(Image(TWO), smp=1) as m:
        m.linux_up()
        m.enter("yes >/dev/null &")
        first = int(m.expect(r"heartbeat (\d+)").group(1))
        start = time.monotonic()
        while int(m.expect(r"heartbeat (\d+)").group(1)) < first + 10:
            pass
        took = time.monotonic() - start
        assert 8.5 < took < 13, took


def test_one_core_is_shared_fairly():
    """A guest that never sleeps takes half of the core, not all."""
    with Machine(Image(vm("a", "heartbeat") + vm("b", "heartbeat")), smp=1) as m:
        m.expect_all([r"\[a\] heartbeat: up", r"\[b\] heartbeat: up"])
        m.enter("spin")
        m.expect(r"\[(a|b)\] spin")
        other = "b" if m.qemu.match.group(1) == "a" else "a"
        m.heartbeat_goes_on(other)


def test_fp_registers_are_a_guests_own():
    """Three guests on one core fill their FP registers, a fourth never touches them: each finds its own again."""
    watching = "".join(vm(n, "heartbeat", boot='cmdline = "run=fp"') for n in "abc")
    with Machine(Image(watching + vm("idle", "heartbeat")), smp=1) as m:
        told = [m.expect(r"\[(\w)\] fp: (kept|lost)").groups() for _ in range(12)]
        assert {who for who, _ in told} == set("abc") and all(what == "kept" for _, what in told), told


def test_linux_sees_an_ordinary_board():
    with Machine(Image(TWO)) as m:
        m.linux_up()
        for command, expected in FACTS["board"]:
            m.shell(command, expected)
        m.shell("dmesg | grep -c -E 'Call trace|BUG|WARNING:' ; true", r"\b0\b")


def test_gzip_kernel(work):
    """An Image compressed with gzip."""
    import gzip
    with open(guest_file("kernel"), "rb") as f:
        data = gzip.compress(f.read(), 1, mtime=0)
    disk = Disk(f"{work}/disk.img", 96, {"/Image": data, "/initrd": guest_file("initrd")})
    toml = vm("linux", "/Image", "128M", "", 'source = "fat"\ninitrd = "/initrd"') + HEARTBEAT
    with Machine(Image(toml), disk=disk) as m:
        m.linux_up()


@pytest.mark.needs("device-tree")
def test_user_device_tree(work):
    """A tree of the user's own gets memory, chosen and initrd patched."""
    import subprocess
    from test_boot import machine_tree
    tree = f"{work}/machine.dtb"
    machine_tree(work)
    for node in FACTS["not_on_board"]:
        subprocess.run(["fdtput", "-r", tree, "/" + node], capture_output=True, check=False)  # not on our board
    disk = Disk(f"{work}/disk.img", 96, {"/Image": guest_file("kernel"), "/initrd": guest_file("initrd"),
                                         "/board.dtb": tree})
    toml = vm("linux", "/Image", "200M", "", 'source = "fat"\ninitrd = "/initrd"\ndtb = "/board.dtb"') + HEARTBEAT
    with Machine(Image(toml), disk=disk) as m:
        m.linux_up()
        check_meminfo(m, 200)


def test_virtio_console():
    toml = (host(console="focus")
            + linux(cmdline="console=hvc0") + '[[vm.device]]\nmodel = "virtio-console"\n')
    with Machine(Image(toml)) as m:
        m.linux_up()
        m.shell("cat /sys/class/tty/console/active", r"hvc0")


def test_many_guests():
    """Any number of guests in one image."""
    names = [f"g{i}" for i in range(12)]
    with Machine(Image("".join(vm(n, "heartbeat", "4M") for n in names))) as m:
        seen = set()
        while len(seen) < len(names):
            seen.add(m.expect(r"\[(g\d+)\] heartbeat [2-9]").group(1))


def test_custom_map():
    """A foreign board, given wholly in TOML; Linux boots on it."""
    config, second_ram = FACTS["custom_map"]
    with Machine(Image(config), mem="1G") as m:
        m.linux_up()
        m.shell("cat /proc/iomem", r"\b" + second_ram)
        check_meminfo(m, 384)


def test_shared_memory():
    """One page range, two guests, two places: what one writes the other reads."""
    def sharer(name, base):
        return (f'[[vm]]\nname = "{name}"\n[[vm.memory]]\nsize = "16M"\n[[vm.memory]]\nbase = {base:#x}\nsize = "2M"\n'
                f'kind = "shared"\nshare = "ring"\n[vm.boot]\nkernel = "heartbeat"\n')

    base = FACTS["ram_base"]
    with Machine(Image(sharer("alpha", base + 0x1000_0000) + sharer("beta", base + 0x2000_0000))) as m:
        m.expect_all([r"\[alpha\] heartbeat 1\b", r"\[beta\] heartbeat 1\b"])
        m.enter(f"poke {base + 0x1000_0100:x} c0ffee")
        m.expect(r"\[alpha\] word at 0x\w+: 0xc0ffee")
        m.key("n")
        m.enter(f"peek {base + 0x2000_0100:x}")
        m.expect(r"\[beta\] word at 0x\w+: 0xc0ffee")
