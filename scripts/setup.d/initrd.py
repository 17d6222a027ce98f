# SPDX-License-Identifier: Apache-2.0
"""Make the Debian guest's initrd: busybox with a link for each applet, kernel modules, our init.

The archive is a gzip-compressed "newc" cpio (Linux: Documentation/driver-api/early-userspace/buffer-format.rst).
It is written here, not by cpio, so that the same input gives the same bytes, and no root is needed for /dev/console.
Modules are put in uncompressed: unpacking xz in an emulated guest costs more than the few bytes do.
"""
import argparse
import gzip
import lzma
import os
import re
import stat
import sys

FOLDERS = ["bin", "dev", "etc", "lib", "lib/modules", "mnt", "proc", "root", "run", "sys", "tmp", "usr"]
LINKS = {"sbin": "bin", "usr/bin": "../bin", "usr/sbin": "../bin", "etc/mtab": "/proc/self/mounts"}
FILES = {
    "etc/passwd": "root::0:0:root:/root:/bin/sh\n",
    "etc/group": "root:x:0:\n",
    "etc/inittab": "::respawn:/bin/busybox cttyhack /bin/sh -l\n::shutdown:/bin/sync\n::shutdown:/bin/umount -a -r\n",
    "etc/profile": "export PATH=/bin HOME=/root TERM=${TERM:-vt100}\nPS1='\\h:\\w# '\ncd\n",
}


class Cpio:
    """A newc archive in memory; inode numbers count up, times are 0, everything belongs to root."""

    def __init__(self):
        self.data = bytearray()
        self.inode = 0

    def add(self, name, mode, content=b"", device=(0, 0)):
        self.inode += 1
        raw = name.encode() + b"\0"
        fields = [self.inode, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(raw), 0]
        self.data += b"070701" + b"".join(b"%08X" % field for field in fields)
        self._padded(raw)
        self._padded(content)

    def _padded(self, content):
        self.data += content
        self.data += bytes(-len(self.data) % 4)

    def folder(self, name):
        self.add(name, stat.S_IFDIR | 0o755)

    def file(self, name, content, mode=0o644):
        self.add(name, stat.S_IFREG | mode, content)

    def link(self, name, target):
        self.add(name, stat.S_IFLNK | 0o777, target.encode())

    def finish(self):
        self.inode = 0
        self.add("TRAILER!!!", 0)
        return gzip.compress(bytes(self.data), 9, mtime=0)


def applets(busybox):
    """Names of busybox's applets: a sorted run of NUL-terminated strings in it. (It cannot run: other CPU.)"""
    start = busybox.find(b"[\0[[\0")
    names = []
    for raw in busybox[start:start + 65536].split(b"\0"):
        name = raw.decode("ascii", "replace")
        if not re.fullmatch(r"[a-z0-9_.+\-\[]+", name) or (names and name <= names[-1]):
            break
        names.append(name)
    if start < 0 or len(names) < 50 or "sh" not in names:
        sys.exit("initrd: cannot find the list of applets in busybox")
    return [name for name in names if name != "busybox"]


def modules(root, wanted):
    """(name, content) of each wanted module the kernel has, in the order wanted."""
    found = {}
    for folder, _, names in os.walk(root):
        for name in names:
            match = re.fullmatch(r"(.+)\.ko(\.xz)?", name)
            if match:
                found[match[1]] = os.path.join(folder, name)
    for name in wanted:
        if name in found:
            with open(found[name], "rb") as file:
                content = file.read()
            yield name, lzma.decompress(content) if found[name].endswith(".xz") else content


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--busybox", required=True)
    parser.add_argument("--init", required=True)
    parser.add_argument("--modules-from", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("module", nargs="*")
    args = parser.parse_args()
    with open(args.busybox, "rb") as file:
        busybox = file.read()
    with open(args.init, "rb") as file:
        init = file.read()

    cpio = Cpio()
    for name in FOLDERS:
        cpio.folder(name)
    cpio.add("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
    cpio.add("dev/null", stat.S_IFCHR | 0o666, device=(1, 3))
    cpio.file("bin/busybox", busybox, 0o755)
    for name in applets(busybox):
        cpio.link("bin/" + name, "busybox")
    for name, target in LINKS.items():
        cpio.link(name, target)
    for name, text in FILES.items():
        cpio.file(name, text.encode())
    order = []
    for name, content in modules(args.modules_from, args.module):
        cpio.file(f"lib/modules/{name}.ko", content)
        order.append(name)
    cpio.file("lib/modules/order", "".join(name + "\n" for name in order).encode())
    cpio.file("init", init, 0o755)
    with open(args.out, "wb") as file:
        file.write(cpio.finish())


main()
