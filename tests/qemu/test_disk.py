# SPDX-License-Identifier: Apache-2.0
"""virtio-blk: memory and files on the FAT disk, through guest restarts and sudden death."""
import hashlib
import os
import time

import pytest
from lodge import Disk, Image, Machine
from scenarios import HEARTBEAT, host, linux

FOCUS = host(console="focus")


def image(device, more="", read_only=False, memory="128M"):
    toml = FOCUS + linux(memory=memory, more=more, device=device)
    return Image(toml + ("read_only = true\n" if read_only else "") + HEARTBEAT)


def test_vda_survives_guest_restart(work):
    disk = Disk(f"{work}/disk.img", 64, {"/linux.img": 16 << 20})
    with Machine(image("fat:/linux.img"), disk=disk) as m:
        m.linux_up()
        m.shell("cat /proc/partitions", r"\b16384 vda")
        m.shell("dd if=/dev/urandom of=/tmp/x bs=64k count=32 && dd if=/tmp/x of=/dev/vda bs=64k && sync",
                r"32\+0 records out")
        before = m.shell("dd if=/dev/vda bs=64k count=32 2>/dev/null | sha256sum", r"\b([0-9a-f]{64})\b").group(1)
        assert before == m.shell("sha256sum /tmp/x", r"\b([0-9a-f]{64})\b").group(1)
        m.enter("reboot")
        m.linux_up()
        after = m.shell("dd if=/dev/vda bs=64k count=32 2>/dev/null | sha256sum", r"\b([0-9a-f]{64})\b").group(1)
        assert after == before
        m.enter("poweroff")
        m.expect(r"\[?linux\]? is off")
    assert hashlib.sha256(disk.read("/linux.img")[:2 << 20]).hexdigest() == before, "what a PC would read differs"
    assert disk.check() == ""


def test_file_system_on_vda(work):
    """A file system that the guest mounts and writes: many small requests. What it leaves is whole."""
    inner = Disk(f"{work}/inner.img", 32)
    disk = Disk(f"{work}/disk.img", 64, {"/linux.img": inner.path})
    with Machine(image("fat:/linux.img"), disk=disk) as m:
        m.linux_up()
        mount = "mount -t vfat /dev/vda /m"
        m.shell(f"mkdir -p /m && {mount} && cp /bin/busybox /m/ && (cd /m; for i in 1 2 3 4 5 6 7 8 9; do mkdir d$i;"
                f" echo $i >d$i/f; done) && umount /m && {mount} && cmp /bin/busybox /m/busybox && umount /m && echo sa''me",
                r"\bsame\b")
        m.enter("poweroff")
        m.expect(r"\[?linux\]? is off")
    with open(inner.path, "wb") as f:
        f.write(disk.read("/linux.img"))
    assert inner.check() == "" and inner.read("/d7/f") == b"7\n"


@pytest.mark.parametrize("fat", [None, 32])
def test_fragmented_file(work, fat):
    """A file in many pieces: extents are followed."""
    disk = Disk(f"{work}/disk.img", 80, fat=fat)
    for i in range(24):
        disk.add(f"/fill{i}", os.urandom(1 << 20))
    for i in range(0, 24, 2):
        disk.run("mdel", "-i", disk.path, f"::/fill{i}")
    disk.add("/fill99", 44 << 20)  # so that the free rest lies between the others
    content = os.urandom(16 << 20)
    disk.add("/linux.img", content)
    with Machine(image("fat:/linux.img"), disk=disk) as m:
        m.linux_up()
        seen = m.shell("sha256sum /dev/vda", r"\b([0-9a-f]{64})\b").group(1)
        assert seen == hashlib.sha256(content).hexdigest()


def test_file_larger_than_memory(work):
    """1 GiB on a machine with 512 MiB: nothing is read ahead or kept."""
    disk = Disk(f"{work}/disk.img", 1100, {"/big.img": 1 << 30}, fat=32)
    with Machine(image("fat:/big.img"), disk=disk, mem="512M") as m:
        m.linux_up()
        m.shell("cat /proc/partitions", r"\b1048576 vda")
        m.shell("dd if=/dev/urandom of=/tmp/x bs=1M count=4 2>/dev/null;"
                "dd if=/tmp/x of=/dev/vda bs=1M seek=1020 conv=fsync", r"4\+0 records out")
        before = m.shell("sha256sum /tmp/x", r"\b([0-9a-f]{64})\b").group(1)
        m.shell("echo 3 >/proc/sys/vm/drop_caches; dd if=/dev/vda bs=1M skip=1020 2>/dev/null | sha256sum", before)
        m.shell("dd if=/dev/vda of=/dev/null bs=1M", r"1024\+0 records out", timeout=300)
    assert disk.check() == ""


def test_killed_during_writes(work):
    """kill -9 of the whole machine: the FAT is consistent, what was flushed is there."""
    disk = Disk(f"{work}/disk.img", 64, {"/linux.img": 32 << 20, "/other.txt": b"untouched\n"})
    with Machine(image("fat:/linux.img"), disk=disk) as m:
        m.linux_up()
        m.shell("yes flushed | dd of=/dev/vda bs=4k count=1 conv=fsync iflag=fullblock", r"1\+0 records out")
        m.enter("while true; do dd if=/dev/urandom of=/dev/vda bs=64k seek=1 count=400 conv=fsync; done 2>/dev/null")
        time.sleep(4)
        m.kill()
    assert disk.check() == ""
    assert disk.read("/other.txt") == b"untouched\n"
    content = disk.read("/linux.img")
    assert len(content) == 32 << 20
    assert content.startswith(b"flushed\n" * 8)
    assert any(content[1 << 16:1 << 20]), "nothing was written before the kill"


def test_read_only(work):
    disk = Disk(f"{work}/disk.img", 64, {"/linux.img": b"constant" * 131072})
    with Machine(image("fat:/linux.img", read_only=True), disk=disk) as m:
        m.linux_up()
        m.shell("cat /sys/block/vda/ro", r"\b1\b")
        m.shell("dd if=/dev/zero of=/dev/vda bs=4k count=1 2>&1; true", r"(?i)not permitted|read-only|error")
    assert disk.read("/linux.img") == b"constant" * 131072


def test_ram_disk():
    toml = FOCUS + linux(device="ram:") + 'size = "8M"\n'
    with Machine(Image(toml)) as m:
        m.linux_up()
        m.shell("cat /proc/partitions", r"\b8192 vda")
        m.shell("dd if=/bin/busybox of=/dev/vda bs=64k; sync; cmp -n 1000000 /bin/busybox /dev/vda && echo sa''me",
                r"\bsame\b")


def test_embedded_disk():
    data = b"embedded content\n" * 1024
    toml = FOCUS + linux(device="embed:@OUT@/data.img")
    with Machine(Image(toml, {"data.img": data + bytes(-len(data) % 512)})) as m:
        m.linux_up()
        m.shell("head -n 1 /dev/vda", r"embedded content")
        m.shell("cat /sys/block/vda/ro", r"\b1\b")


def test_one_file_by_two_names_has_one_writer(work):
    disk = Disk(f"{work}/disk.img", 48, {"/scratch-disk.img": 16 << 20})
    second = '[[vm.device]]\nmodel = "virtio-blk"\nbackend = "fat:/SCRATC~1.IMG"\n'
    toml = FOCUS + linux(memory="128M", device="fat:/scratch-disk.img") + second + HEARTBEAT
    with Machine(Image(toml), disk=disk) as m:
        m.expect(r"disk file 'SCRATC~1.IMG' shares sectors with 'scratch-disk.img' of vm 'linux'")
        m.expect(r"\[linux\] refused: device .*SCRATC~1.IMG: in use")
        m.heartbeat_goes_on()


def test_missing_file_refuses_that_guest_alone(work):
    disk = Disk(f"{work}/disk.img", 16)
    with Machine(image("fat:/linux.img"), disk=disk) as m:
        m.expect(r"linux.img")
        m.expect(r"\[?linux\]?:? refused")
        m.heartbeat_goes_on()
