# SPDX-License-Identifier: Apache-2.0
"""Guests and configurations from a FAT disk, and disks that are not what they should be."""
import os

import pytest
from lodge import BUILD, TOP, Disk, Image, Machine, guest_file, vm
from scenarios import BANNER, HEARTBEAT, fat_linux, host, linux


def linux_files():
    return {"/Image": guest_file("kernel"), "/initrd": guest_file("initrd")}


def test_linux_fat(work):
    disk = Disk(f"{work}/disk.img", 96, linux_files())
    with Machine(Image(fat_linux() + HEARTBEAT), disk=disk) as m:
        m.linux_up()
        m.heartbeat_goes_on("heartbeat")


def test_linux_fat_configuration(work):
    """configs/linux-fat.toml as it is."""
    disk = Disk(f"{work}/disk.img", 128, {"/debian/kernel": guest_file("kernel"),
                                          "/debian/initrd": guest_file("initrd"), "/linux.img": 8 << 20})
    with Machine(Image("configs/linux-fat.toml"), disk=disk) as m:
        m.linux_up()
        m.shell("cat /proc/partitions", r"\b8192 vda")


def test_make_disk():
    """`make disk` makes what the configuration names."""
    from lodge import make
    image = Image("configs/linux-fat.toml")
    path = image.path
    done = make("disk", f"CONFIG={image.config}", f"OUT={image.out}")
    assert done.returncode == 0, done.stdout
    disk = Disk.__new__(Disk)
    disk.path = os.path.join(os.path.dirname(path), "disk.img")
    assert disk.check() == ""
    with Machine(image, disk=disk) as m:
        m.linux_up()


def heartbeat_binary():
    assert Image(HEARTBEAT).path  # builds the guests as well
    return os.path.join(TOP, BUILD, "guests", "heartbeat.bin")


@pytest.mark.parametrize("size,fat", [(2, None), (16, None), (80, 32)], ids=["fat12", "fat16", "fat32"])
def test_fat_types(work, size, fat):
    with open(heartbeat_binary(), "rb") as f:
        disk = Disk(f"{work}/disk.img", size, {"/deep/er/Long name of a guest.bin": f.read()}, fat=fat)
    toml = vm("fat", "/deep/er/Long name of a guest.bin", "16M", "", 'source = "fat"') + HEARTBEAT
    with Machine(Image(toml), disk=disk) as m:
        m.expect(r"\[fat\] heartbeat 2")


def test_fat_image_as_initrd(work):
    """Any boot loader can hand a FAT image over; no disk driver is needed then."""
    disk = Disk(f"{work}/initrd.img", 80, {**linux_files(), "/linux.img": 4 << 20})
    toml = fat_linux(device="fat:/linux.img") + HEARTBEAT
    with Machine(Image(toml), initrd=disk) as m:
        m.linux_up()
        m.shell("dd if=/bin/busybox of=/dev/vda bs=64k count=8; sync; cmp -n 500000 /bin/busybox /dev/vda && echo sa''me",
                r"\bsame\b")


OVERRIDE = vm("replaced", "heartbeat")


def test_toml_on_fat_replaces_the_embedded(work):
    disk = Disk(f"{work}/disk.img", 8, {"/lodge/x.toml": OVERRIDE.encode()})
    with Machine(Image(vm("embedded", "heartbeat")), disk=disk) as m:
        m.expect(r"/lodge/x\.toml")
        m.expect(r"\[replaced\] heartbeat 2")
        m.never(r"\[embedded\]", 3)


def test_toml_on_fat_can_be_switched_off(work):
    disk = Disk(f"{work}/disk.img", 8, {"/lodge/x.toml": OVERRIDE.encode()})
    with Machine(Image(host(fat_config="off") + vm("embedded", "heartbeat")), disk=disk) as m:
        m.expect(r"\[embedded\] heartbeat 2")
        m.never(r"\[replaced\]", 3)


def test_several_tomls_on_fat(work):
    disk = Disk(f"{work}/disk.img", 8, {"/lodge/a.toml": vm("a", "heartbeat").encode(),
                                        "/lodge/b.toml": vm("b", "heartbeat").encode(),
                                        "/lodge/notes.txt": b"not a configuration"})
    with Machine(Image(vm("embedded", "heartbeat")), disk=disk) as m:
        m.expect_all([r"\[a\] heartbeat 2", r"\[b\] heartbeat 2"])


@pytest.mark.parametrize("text,pattern", [
    (b'[[vm]\nname = "x"\n', r"x\.toml:1"),
    (OVERRIDE.encode() + b'\n[[vm]]\nname = "bad"\nmemory = "16M"\nspeed = 3\n[vm.boot]\nkernel = "heartbeat"\n',
     r"x\.toml:\d+:\d+: .*speed"),
    (OVERRIDE.encode() + vm("bad", "heartbeat", "9000G").encode(), r"x\.toml:\d+:.*memory"),
    (OVERRIDE.encode() + vm("bad", "nothing-of-this-name").encode(), r"x\.toml:\d+:.*nothing-of-this-name"),
    (b"", r"x\.toml"),
    (os.urandom(4096), r"x\.toml"),
], ids=["syntax", "unknown-key", "too-much-memory", "missing-file", "empty", "random"])
def test_bad_toml_on_fat(work, text, pattern):
    """File, line and reason; a mistake in one VM costs that VM alone."""
    disk = Disk(f"{work}/disk.img", 8, {"/lodge/x.toml": text})
    with Machine(Image(vm("embedded", "heartbeat")), disk=disk) as m:
        m.expect(pattern)
        if text.startswith(OVERRIDE.encode()):
            m.expect(r"\[replaced\] heartbeat 2")
        m.never(r"(?i)panic", 2)


def test_no_disk_at_all():
    """The guest that needs one is refused, the other starts."""
    with Machine(Image(fat_linux() + HEARTBEAT)) as m:
        m.expect(BANNER)
        m.expect(r"linux.*(?:FAT disk|refused)")
        m.heartbeat_goes_on()


@pytest.mark.parametrize("damage", ["zeroed", "truncated", "fat-loop", "random"])
def test_corrupt_disk(work, damage):
    """Whatever a disk holds, only what needs it suffers."""
    disk = Disk(f"{work}/disk.img", 80, {"/Image": guest_file("kernel"), "/initrd": guest_file("initrd")})
    with open(disk.path, "r+b") as f:
        if damage == "zeroed":
            f.write(bytes(1 << 16))
        elif damage == "truncated":
            f.truncate(20 << 20)
        elif damage == "random":
            f.seek(512)
            f.write(os.urandom(1 << 19))
        else:  # every FAT entry points to cluster 5
            f.seek(512)
            f.write(b"\x05\x00" * (1 << 17))
    with Machine(Image(fat_linux() + HEARTBEAT), disk=disk) as m:
        m.expect(BANNER)
        m.heartbeat_goes_on(beats=6)
        m.never(r"(?i)panic", 1)


def test_linux_on_both_disks(work):
    """FAT for the kernel of one, embedded for the other."""
    disk = Disk(f"{work}/disk.img", 96, linux_files())
    with Machine(Image(fat_linux("fat") + linux("embedded")), disk=disk, mem="1G") as m:
        seen = set()
        while len(seen) < 2:
            seen.add(m.expect(r"\[(fat|embedded)\] Debian's Linux", timeout=240).group(1))
