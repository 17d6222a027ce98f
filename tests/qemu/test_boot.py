# SPDX-License-Identifier: Apache-2.0
"""From reset to guests: the banner, the ways in, machines that differ, machines that cannot do."""
import struct
import subprocess

import pytest
from lodge import BUILD, FACTS, LIMIT, TOP, Disk, Image, Machine, vm
from scenarios import BANNER, HEARTBEAT

HEARTBEATS = "configs/heartbeats.toml"
LOAD = FACTS["ram_base"] + 0x20_0000
FDT = FACTS["ram_base"] + 0x400_0000


def test_boots_and_banner():
    with Machine(Image(HEARTBEATS), smp=2, mem="1G") as m:
        m.expect(BANNER + FACTS["machine"])
        m.expect(r"CPUs: 2 of 2")
        total = int(m.expect(r"memory: \d+ MiB free of (\d+) MiB; interrupt controller: GICv3").group(1))
        assert 900 <= total <= 1024, total


def test_heartbeats():
    with Machine(Image(HEARTBEATS)) as m:
        m.expect(BANNER)
        names = set()
        while len(names) < 3:
            names.add(m.expect(r"\[(\S+)\] heartbeat [3-9]").group(1))


@pytest.mark.parametrize("smp", [1, 2, 4, 8])
def test_cpu_counts(smp):
    with Machine(Image(HEARTBEATS), smp=smp) as m:
        m.expect(rf"CPUs: {smp} of {smp}")
        m.expect(r"heartbeat 3")


@pytest.mark.parametrize("cpu", FACTS["cpus"])
def test_cpu_model(cpu):
    with Machine(Image(HEARTBEATS), cpu=cpu) as m:
        m.expect(BANNER)
        m.expect(r"heartbeat 3")


@pytest.mark.parametrize("mem", ["256M", "3G"])
def test_memory_sizes(mem):
    with Machine(Image(HEARTBEATS), mem=mem) as m:
        m.expect(r"memory: \d+ MiB free")
        m.expect(r"heartbeat 3")


def test_gicv2_host():
    """Guests get a GICv2 then, see test_gic.py."""
    with Machine(Image(HEARTBEATS), gic=2) as m:
        m.expect(r"interrupt controller: GICv2")
        m.expect(r"heartbeat 3")


def test_without_virtualisation():
    with Machine(Image(HEARTBEATS), virt=False) as m:
        m.expect(r"EL2")
        m.expect(r"virtualization=on")


# ---- other ways in: QEMU's loader device, and a stub that sets x0 as a boot loader would

def stub(work, fdt):
    """movz/movk x0, fdt; movz/movk x1, LOAD; br x1"""
    def mov(reg, value):
        return [0xD2800000 | (value & 0xFFFF) << 5 | reg, 0xF2A00000 | (value >> 16 & 0xFFFF) << 5 | reg,
                0xF2C00000 | (value >> 32 & 0xFFFF) << 5 | reg]
    path = f"{work}/stub.bin"
    with open(path, "wb") as f:
        f.write(struct.pack("<7I", *mov(0, fdt), *mov(1, LOAD), 0xD61F0020))
    return path


def enter(image, work, fdt, load=LOAD, **options):
    extra = (f"-device loader,file={image.path},addr={load:#x},force-raw=on "
             f"-device loader,file={stub(work, fdt)},addr={FACTS['ram_base'] + 0x10_0000:#x},cpu-num=0,force-raw=on")
    extra += options.pop("extra", "")
    return Machine(kernel="none", extra=extra, **options)


def test_entered_at_el3(work):
    """No firmware at all: EL3, the device tree where QEMU leaves it, at the start of RAM."""
    with enter(Image(HEARTBEATS), work, FACTS["ram_base"], machine="secure=on") as m:
        m.expect(BANNER)
        m.expect(r"heartbeat 3")


def test_entered_at_el2_without_image_loader(work):
    with enter(Image(HEARTBEATS), work, FACTS["ram_base"]) as m:
        m.expect(BANNER)
        m.expect(r"heartbeat 3")


@pytest.mark.parametrize("kind", ["null", "garbage", "outside", "beyond", "nowhere", "truncated", "bits"])
def test_invalid_device_tree(work, kind):
    """Says so; does not hang silently, nor act on it."""
    extra = ""
    fdt = FDT
    if kind == "null":
        fdt = 0
    elif kind == "garbage":
        fdt = LOAD
    elif kind == "outside":
        fdt = 0xF0_0000_0000
    elif kind == "beyond":
        fdt = 0x3000_0000_0000  # more bits than the direct map has
    elif kind == "nowhere":
        fdt = 0x0600_0000  # inside the board's map, but nothing answers
    else:
        tree = bytearray(machine_tree(work))
        if kind == "truncated":
            tree[4:8] = struct.pack(">I", 0x30)
        else:
            tree[8:12] = struct.pack(">I", 0x7FFF_FFFF)  # off_dt_struct
        with open(f"{work}/bad.dtb", "wb") as f:
            f.write(tree)
        extra = f" -device loader,file={work}/bad.dtb,addr={FDT:#x},force-raw=on"
    with enter(Image(HEARTBEATS), work, fdt, extra=extra) as m:
        m.expect(r"(?i)error: .*device tree")


def machine_tree(work):
    path = f"{work}/machine.dtb"
    subprocess.run([f"{TOP}/scripts/qemu", "run", BUILD], check=True, stdin=subprocess.DEVNULL, capture_output=True,
                   timeout=LIMIT, cwd=TOP,
                   env={"PATH": "/usr/bin:/bin", "KERNEL": "none", "DISK": "none", "MACHINE": f"dumpdtb={path}"})
    with open(path, "rb") as f:
        return f.read()


@pytest.mark.parametrize("offset", [0x40_0000, 0x123_4000])
def test_runs_wherever_it_is_put(work, offset, monkeypatch):
    import test_boot
    monkeypatch.setattr(test_boot, "LOAD", FACTS["ram_base"] + offset)
    with enter(Image(HEARTBEATS), work, FACTS["ram_base"], load=FACTS["ram_base"] + offset) as m:
        m.expect(BANNER)
        m.expect(r"heartbeat 3")


def test_image_header():
    where, magic = FACTS["image_magic"]
    with open(Image(HEARTBEATS).path, "rb") as f:
        head = f.read(64)
    assert head[where:where + 4] == magic
    text_offset, size = struct.unpack_from("<QQ", head, 8)
    assert text_offset % 0x20_0000 == 0 and size > 0x1_0000


def test_reproducible():
    """Same input, same bytes."""
    toml = vm("same", "heartbeat") + HEARTBEAT
    first, second = Image(toml), Image(toml)
    second.out = first.out + "-again"
    second.config = first.config
    with open(first.path, "rb") as a, open(second.path, "rb") as b:
        assert a.read() == b.read()


def test_last_guest_stops_machine():
    with Machine(Image('[host]\non_last_stop = "poweroff"\n' + vm("a", "heartbeat") + vm("b", "heartbeat"))) as m:
        m.expect_all([r"\[a\] heartbeat: up", r"\[b\] heartbeat: up"])
        m.enter("poweroff")
        m.expect(r"\[(a|b)\] is off")
        m.heartbeat_goes_on()
        m.key("n")
        m.enter("poweroff")
        m.expect(r"the last guest has stopped")
        assert m.ended() == 0


def test_disk_is_not_needed():
    with Machine(Image(HEARTBEATS)) as m:
        m.never(r"(?i)panic", 5)


def test_unformatted_disk(work):
    disk = Disk(f"{work}/disk.img", 8)
    with open(disk.path, "r+b") as f:
        f.write(b"\xa5" * (1 << 20))
    with Machine(Image(HEARTBEATS), disk=disk) as m:
        m.expect(r"(?i)no usable FAT")
        m.expect(r"heartbeat 3")
