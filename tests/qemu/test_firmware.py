# SPDX-License-Identifier: Apache-2.0
"""Other people's firmware and kernels for QEMU's `virt`, as guests: U-Boot of Debian's u-boot-qemu."""
import os

import pytest
from lodge import FACTS, Disk, Image, Machine, vm
from scenarios import HEARTBEAT, host

U_BOOT = "/usr/lib/u-boot/"


def u_boot(name):
    path = U_BOOT + name
    assert os.path.exists(path), f"{path} is not there: scripts/setup --tests"
    return path


@pytest.mark.parametrize("image", FACTS["u_boot"])
def test_u_boot(work, image):
    """To its prompt; it reads a file from its virtio disk, and turns itself off."""
    inner = Disk(f"{work}/inner.img", 8, {"/hello.txt": b"a text for U-Boot\n"})
    disk = Disk(f"{work}/disk.img", 32, {"/guest.img": inner.path})
    toml = host(console="merged") + vm("uboot", u_boot(image), "128M", device="fat:/guest.img") + HEARTBEAT
    with Machine(Image(toml), disk=disk) as m:
        m.expect(r"\[uboot\] U-Boot 20\d\d\.\d\d")
        m.expect(r"\[uboot\] DRAM: +128 MiB")
        m.expect(r"Hit any key to stop autoboot")
        m.type(" ")
        m.expect(r"=> ")
        m.enter("virtio info")
        m.expect(r"Device 0: .*VirtIO Block Device")
        m.expect(r"Capacity: 8\.0 MB")
        m.enter("fatls virtio 0")
        m.expect(r"18 +hello\.txt")
        m.enter(f"fatload virtio 0 {FACTS['ram_base'] + 0x200_0000:#x} hello.txt; md.b {FACTS['ram_base'] + 0x200_0000:#x} 6")
        m.expect(r"18 bytes read")
        m.expect(r"61 20 74 65 78 74")
        m.enter("poweroff")
        m.expect(r"\[uboot\] is off")
        m.heartbeat_goes_on("heartbeat")
