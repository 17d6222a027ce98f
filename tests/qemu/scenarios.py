# SPDX-License-Identifier: Apache-2.0
"""Configurations that several scenarios share, and what is looked for."""
from lodge import vm

BANNER = r"Lodge \S+ on "
REFUSED = r"\[?{}\]?:? .*refused|{}: \S* ?.*(?:cannot|is |does not)"

HEARTBEAT = vm("heartbeat", "heartbeat", more='on_crash = "stop"')


def linux(name="linux", memory="128M", more="", device="", cmdline=""):
    return vm(name, "debian", memory, more, f'cmdline = "{cmdline}"' if cmdline else "", device)


def host(**keys):
    return "[host]\n" + "".join(f'{k} = "{v}"\n' for k, v in keys.items())


# Linux from the FAT disk needs no Debian kernel in the image: small images, quick to build.
def fat_linux(name="linux", memory="128M", device=""):
    return vm(name, "/Image", memory, "", 'source = "fat"\ninitrd = "/initrd"', device)
