# SPDX-License-Identifier: Apache-2.0
"""A PC's disks: controllers that the hypervisor drives, and the image that GRUB boots from a CD or a disk."""
import hashlib
import os

import pytest
from lodge import TOP, Bochs, Disk, Image, Machine, make, vm
from scenarios import BANNER, HEARTBEAT, host, linux

FROM_FAT = vm("fat", "/guests/a guest with a long name.bin", "16M", "", 'source = "fat"')


def fat_disk(work):
    assert Image(HEARTBEAT).path  # builds the guests as well
    with open(os.path.join(TOP, "build", "qemu-x86_64", "guests", "heartbeat.bin"), "rb") as f:
        return Disk(f"{work}/disk.img", 16, {"/guests/a guest with a long name.bin": f.read()})


@pytest.mark.parametrize("chipset,device,qemu,seen", [
    ("q35", "virtio-blk-pci", 10, r"by memory[\s\S]*block: disk0, 16 MiB, write cache"),
    ("q35", "virtio-blk-pci,vectors=0", None, r"the device is polled[\s\S]*block: disk0, 16 MiB"),
    ("pc", "virtio-blk-pci,disable-legacy=on", 10, r"by ports[\s\S]*block: disk0, 16 MiB, write cache"),
    ("pc", "ide-hd", None, r"ide0: QEMU HARDDISK[\s\S]*block: ide0, 16 MiB, write cache"),
    ("pc", "ide-hd", 10, r"ide0: QEMU HARDDISK[\s\S]*block: ide0, 16 MiB, write cache"),
], ids=["q35-10", "polled", "pc-10", "ide", "ide-10"])
def test_guest_from_a_disk(work, chipset, device, qemu, seen):
    with Machine(Image(FROM_FAT), disk=fat_disk(work), chipset=chipset, disk_device=device, qemu=qemu) as m:
        m.expect(seen)
        m.expect(r"heartbeat 3")


def test_guest_from_a_disk_under_bochs(work):
    """Booted by GRUB from a CD; another firmware, another IDE controller."""
    with Bochs(Image(FROM_FAT), disk=fat_disk(work)) as m:
        m.expect(r"block: ide0, 16 MiB[\s\S]*ide0: FAT", timeout=400)
        m.expect(r"heartbeat 3", timeout=400)


def test_behind_a_bridge_beside_a_cd(work):
    """Functions on another bus are found; a CD is no disk, and no reason to complain."""
    disk = fat_disk(work)
    extra = (f"-device pci-bridge,id=b,chassis_nr=1 -drive if=none,id=d,format=raw,file={disk.path}"
             f" -device virtio-blk-pci,bus=b,addr=3,drive=d -drive if=ide,media=cdrom,format=raw,readonly=on,file={disk.path}.cd")
    with open(disk.path + ".cd", "wb") as f:
        f.truncate(1 << 20)
    with Machine(Image(FROM_FAT), chipset="pc", extra=extra) as m:
        m.expect(r"drive 0: not a disk")
        m.expect(r"heartbeat 3")


def test_linux_writes_to_an_ide_disk(work):
    disk = Disk(f"{work}/disk.img", 64, {"/linux.img": 16 << 20})
    with Machine(Image(host(console="focus") + linux(device="fat:/linux.img")), disk=disk, chipset="pc",
                 disk_device="ide-hd") as m:
        m.linux_up()
        m.shell("dd if=/dev/urandom of=/tmp/x bs=64k count=32 && dd if=/tmp/x of=/dev/vda bs=64k conv=fsync",
                r"32\+0 records out")
        digest = m.shell("sha256sum /tmp/x", r"\b([0-9a-f]{64})\b").group(1)
        m.shell("echo 3 >/proc/sys/vm/drop_caches; dd if=/dev/vda bs=64k count=32 2>/dev/null | sha256sum", digest)
    assert hashlib.sha256(disk.read("/linux.img")[:2 << 20]).hexdigest() == digest, "what a PC would read differs"
    assert disk.check() == ""


def test_iso():
    """`make iso`: one file for both. Copied onto a disk it is one without files, not a damaged one."""
    image = Image(host(log="info") + HEARTBEAT)
    assert image.path
    done = make("iso", f"CONFIG={image.config}", f"OUT={image.out}")
    assert done.returncode == 0, done.stdout
    iso = os.path.join(TOP, image.out, "lodge.iso")
    for chipset, medium in (("pc", f"-cdrom {iso}"), ("pc", f"-drive if=ide,format=raw,snapshot=on,file={iso}"),
                            ("q35", f"-drive if=virtio,format=raw,snapshot=on,file={iso}")):
        with Machine(kernel="none", chipset=chipset, extra=medium) as m:
            m.expect(BANNER)
            m.expect(r"no FAT volume|no disk, no files")
            m.expect(r"heartbeat 3")
