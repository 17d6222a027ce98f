# SPDX-License-Identifier: Apache-2.0
"""From reset to guests: the banner, the ways in, machines that differ, machines that cannot do."""
import struct
import subprocess

import pytest
from lodge import ARCH, BUILD, FACTS, LIMIT, PLATFORM, TOP, Disk, Image, Machine, assemble, vm
from scenarios import BANNER, HEARTBEAT, host

HEARTBEATS = "configs/heartbeats.toml"
LOAD = FACTS["load"]
FDT = FACTS["ram_base"] + 0x500_0000
OWN = FACTS["own_tree"]


def test_boots_and_banner():
    with Machine(Image(HEARTBEATS), smp=2, mem="1G") as m:
        m.expect(BANNER + FACTS["machine"])
        m.expect(r"CPUs: 2 of 2")
        total = int(m.expect(r"memory: \d+ MiB free of (\d+) MiB; interrupt controller: \S").group(1))
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


@pytest.mark.parametrize("qemu,cpu", [(None, c) for c in FACTS["cpus"]] + [(10, c) for c in FACTS["cpus_qemu10"]])
def test_cpu_model(cpu, qemu):
    with Machine(Image(HEARTBEATS), cpu=cpu, qemu=qemu) as m:
        m.expect(BANNER)
        m.expect(r"heartbeat 3")


@pytest.mark.parametrize("mem", ["256M", "3G"])
def test_memory_sizes(mem):
    with Machine(Image(HEARTBEATS), mem=mem) as m:
        m.expect(r"memory: \d+ MiB free")
        m.expect(r"heartbeat 3")


@pytest.mark.parametrize("smp", [1, 2, 4])
@pytest.mark.parametrize("qemu", [None, 10])
@pytest.mark.parametrize("machine", FACTS["machines"])
def test_machine(machine, qemu, smp):
    """Every interrupt controller of the host, on as many cores."""
    options, chip = FACTS["machines"][machine]
    beats = "".join(vm(f"hb{i}", "heartbeat") for i in range(smp))
    with Machine(Image(host(console="merged") + beats), smp=smp, qemu=qemu, **options) as m:
        m.expect(rf"CPUs: {smp} of {smp}")
        m.expect(rf"interrupt controller: {chip}")
        for i in range(smp):
            m.heartbeat_goes_on(f"hb{i}", beats=1)


def test_without_virtualisation():
    options, said = FACTS["unable"]
    with Machine(Image(HEARTBEATS), **options) as m:
        for words in said:
            m.expect(words)
        m.never(BANNER, 1)


# ---- other ways in: an image that QEMU's loader device puts somewhere, and a stub that does as a boot loader would

def enter(image, work, tree, load=LOAD, copy=False, **options):
    """`tree`: where the device tree is, None for where the firmware has it; `copy`: from there to `tree`."""
    code = FACTS["stub"]
    text = [code["copy"].format(tree)] if copy and "copy" in code else []
    text += [code["tree"].format(tree)] if tree is not None else []
    path = f"{work}/stub.bin"
    with open(path, "wb") as f:
        f.write(assemble("\n".join([*text, code["jump"].format(load)])))
    extra = (f"-device loader,file={image.path},addr={load:#x},force-raw=on " + FACTS["stub_extra"].format(stub=path)
             + options.pop("extra", ""))
    return Machine(kernel=path if FACTS["stub_kernel"] else "none", extra=extra, **options)


@pytest.mark.needs("own-entry")
def test_entered_without_image_loader(work):
    with enter(Image(HEARTBEATS), work, OWN) as m:
        m.expect(BANNER)
        m.expect(r"heartbeat 3")


@pytest.mark.needs("device-tree")
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
                   env={"PATH": "/usr/bin:/bin", "ARCH": ARCH, "PLATFORM": PLATFORM, "SMP": "1", "KERNEL": "none",
                        "DISK": "none", "MACHINE": f"dumpdtb={path}"})
    with open(path, "rb") as f:
        return f.read()


@pytest.mark.needs("own-entry")
@pytest.mark.parametrize("offset", [0x60_0000, 0x123_4000])
def test_runs_wherever_it_is_put(work, offset):
    with enter(Image(HEARTBEATS), work, OWN, load=FACTS["ram_base"] + offset) as m:
        m.expect(BANNER)
        m.expect(r"heartbeat 3")


@pytest.mark.needs("own-entry")
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
