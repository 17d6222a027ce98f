# SPDX-License-Identifier: Apache-2.0
"""Kernels that are broken or do not fit: the one guest is refused with the reason, the other starts."""
import gzip
import os
import struct

import pytest
from lodge import FACTS, Disk, Image, Machine, assemble, guest_file, vm
from scenarios import HEARTBEAT


def kernel_bytes():
    with open(guest_file("kernel"), "rb") as f:
        return f.read()


def damaged(kind):
    """(content, expected words, memory)"""
    if kind == "truncated":
        return kernel_bytes()[:3 << 20], r"truncated", "128M"
    if kind == "truncated-header":
        return kernel_bytes()[:40], r"(?:truncated|no known format|is )", "128M"
    if kind == "text":
        return b"This is a letter to my aunt, not a kernel.\n" * 100, r"text file", "128M"
    if kind == "random":
        return bytes(4) + os.urandom(1 << 16), FACTS["no_kernel"], "128M"
    if kind == "empty":
        return b"", r"empty|no file|cannot", "128M"
    if kind == "too-big":
        return kernel_bytes(), r"does not fit.*raise vm\.memory|too (?:big|large)", "24M"
    if kind == "gzip-damaged":
        data = bytearray(gzip.compress(kernel_bytes(), 1))
        data[4 << 20] ^= 0xFF
        return bytes(data), r"gzip|damaged|corrupt", "128M"
    if kind == "gzip-bomb":
        return gzip.compress(bytes(600 << 20), 9), r"does not fit|out of memory|too (?:big|large)|cannot|" + FACTS["no_kernel"], "128M"
    if kind == "foreign":
        data = bytearray(4096)
        data[0x38:0x3C], name = FACTS["foreign_image"]
        return bytes(data), name, "128M"
    if kind == "bzimage":
        data = bytearray(4096)
        data[0x202:0x206] = b"HdrS"
        return bytes(data), r"x86", "128M"
    if kind == "elf-foreign":
        return elf(machine=FACTS["elf_foreign"]), r"ELF file for", "128M"
    if kind == "elf-truncated":
        return elf(size=1 << 20), r"truncated", "128M"
    if kind == "elf-outside":
        return elf(address=FACTS["hole"]), r"not RAM|outside", "128M"
    raise ValueError(kind)


def elf(machine=FACTS["elf_machine"], address=FACTS["load_raw"], size=16, memory_size=None, code=None):
    """The smallest ELF64: one segment, 16 bytes of code behind the headers, or `code`; a note that names the entry."""
    code = code or assemble(FACTS["kernel_code"]).ljust(16, b"\0")
    size = max(size, len(code))
    note = struct.pack("<III4sQ", 4, 8, 18, b"Xen", address)  # XEN_ELFNOTE_PHYS32_ENTRY, which x86_64 alone looks at
    behind = 64 + 2 * 56 + len(note)
    head = b"\x7fELF\x02\x01\x01" + bytes(9)
    head += struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, address, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    head += struct.pack("<IIQQQQQQ", 1, 5, behind, address, address, size, memory_size or size, 8)
    head += struct.pack("<IIQQQQQQ", 4, 4, behind - len(note), 0, 0, len(note), len(note), 4)
    return head + note + code


KINDS = ["truncated", "truncated-header", "text", "random", "empty", "too-big", "gzip-damaged", "gzip-bomb", "foreign",
         "bzimage", "elf-foreign", "elf-truncated", "elf-outside"]


@pytest.mark.parametrize("kind", KINDS)
def test_bad_kernel(work, kind):
    content, words, memory = damaged(kind)
    disk = Disk(f"{work}/disk.img", 96, {"/kernel": content})
    # The configuration comes from the disk as well: one image for all of these.
    disk.add("/lodge/x.toml", (vm("broken", "/kernel", memory, "", 'source = "fat"') + HEARTBEAT).encode())
    with Machine(Image(HEARTBEAT), disk=disk) as m:
        m.expect(rf"(?i)broken\] refused: .*({words})")
        m.heartbeat_goes_on("heartbeat")
        m.never(r"(?i)panic|\[broken\] starts", 1)


def test_bad_embedded_kernel():
    """Embedded images are judged at boot as well."""
    toml = vm("broken", "@OUT@/kernel.img", "64M") + HEARTBEAT
    with Machine(Image(toml, {"kernel.img": kernel_bytes()[:3 << 20]})) as m:
        m.expect(r"(?i)broken\] refused: .*truncated")
        m.heartbeat_goes_on("heartbeat")


def test_initrd_too_big(work):
    disk = Disk(f"{work}/disk.img", 200, {"/kernel": guest_file("kernel"), "/initrd": 100 << 20})
    toml = vm("broken", "/kernel", "96M", "", 'source = "fat"\ninitrd = "/initrd"') + HEARTBEAT
    disk.add("/lodge/x.toml", toml.encode())
    with Machine(Image(HEARTBEAT), disk=disk) as m:
        m.expect(r"(?i)broken\] refused: .*initrd.*(?:does not fit|raise vm\.memory)")
        m.heartbeat_goes_on("heartbeat")


@pytest.mark.needs("device-tree")
def test_bad_user_device_tree(work):
    disk = Disk(f"{work}/disk.img", 96, {"/kernel": guest_file("kernel"), "/board.dtb": b"\xd0\x0d\xfe\xed" + bytes(400)})
    toml = vm("broken", "/kernel", "96M", "", 'source = "fat"\ndtb = "/board.dtb"') + HEARTBEAT
    disk.add("/lodge/x.toml", toml.encode())
    with Machine(Image(HEARTBEAT), disk=disk) as m:
        m.expect(r"(?i)broken\] refused: .*(?:dtb|device tree)")
        m.heartbeat_goes_on("heartbeat")


def test_more_memory_than_the_machine_has():
    """Each guest alone would fit; the one too much is refused."""
    toml = vm("first", "heartbeat", "200M") + vm("second", "heartbeat", "200M") + vm("third", "heartbeat", "200M")
    with Machine(Image(toml), mem="512M") as m:
        m.expect(r"(?:third|second|first).*memory")
        m.expect(r"\[first\] heartbeat 2")
        m.never(r"(?i)panic", 1)
