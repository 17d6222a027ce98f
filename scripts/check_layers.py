#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that includes only point downward (docs/architecture.md): check_layers.py [FILE...]

A file may include its own folder, arch/*.h and every lower row; in rows where it says so also folders of the same row.
<asm/...> is for arch/ and kernel/sync only; arch_* functions are declared in arch/*.h and nowhere else.
"""
import re
import subprocess
import sys

# (row, folder pattern). The first match counts. Rows with a half are "then" of the same line of the table.
ROWS = [
    (0, r"kernel/lib"),
    (1, r"arch"),                               # the contract's headers
    (4, r"arch/host"),                          # the whole fake machine in one folder
    (1, r"arch/[^/]+(/(boot|cpu|mmu|include/asm))?"),
    (4.5, r"arch/x86_64/(vmx|svm)"),
    (4, r"arch/[^/]+/virt"),
    (1, r"linker"),
    (1, r"kernel/sync"),
    (2, r"kernel/(mm|cpu|sched|time|irq|dev|log)"),
    (2.5, r"kernel/(fs|shell)"),
    (3, r"drivers/[^/]+"),
    (3, r"platforms/[^/]+"),
    (4, r"vmm/core"),
    (4, r"vmm/config(/.*)?"),
    (5, r"vmm/(irqchip|devices|virtio|backend|passthru)"),
    (6, r"vmm/(firmware|loader)"),
    (7, r"vmm/manage"),
    (7, r"kernel"),                             # main.c, the composition root
    (8, r"tools/[^/]+"),
]
# Rows whose folders may include each other.
SIDEWAYS = {1, 2, 2.5, 4, 6, 7}
# What a row forbids and one header allows: drivers use the buses, devices the interface of back ends, and what assembler of any row
# has to know of C is in one file.
EXTRA = [
    (r"arch/x86_64/asm-offsets\.c", r"arch/x86_64/svm/svm_local\.h"),
    (r"drivers/.*", r"drivers/(virtio|pci)/.*"),
    (r"vmm/(virtio|devices)/.*", r"vmm/backend/backend\.h"),
]
# x86's vendors see the common part through its ops table only.
ONLY = [(r"arch/x86_64/(vmx|svm)/.*", r"arch/x86_64/virt/.*", r"arch/x86_64/virt/(ops\.h|enter_regs\.inc)")]
FREE = r"(tests|guests)/.*"
ASM_ALLOWED = r"(arch|kernel/sync)/.*"
PROTOTYPE = re.compile(r"^(?!static|return|else)[a-z_\[][\w\[\]:]* [\w *]*\b(arch_\w+)\([^;{]*\);", re.M)


def row_of(path):
    folder = path.rsplit("/", 1)[0]
    for row, pattern in ROWS:
        if re.fullmatch(pattern, folder):
            return row, pattern
    return None, None


def include_error(path, target):
    """Why `path` must not include `target`, or None."""
    folder, target_folder = path.rsplit("/", 1)[0], target.rsplit("/", 1)[0]
    if folder == target_folder or re.fullmatch(r"arch/[^/]+\.h", target):
        return None
    for who, what, exception in ONLY:
        if re.fullmatch(who, path) and re.fullmatch(what, target) and not re.fullmatch(exception, target):
            return f"only {exception} of that folder is visible here"
    if any(re.fullmatch(who, path) and re.fullmatch(what, target) for who, what in EXTRA):
        return None
    mine, my_group = row_of(path)
    theirs, their_group = row_of(target)
    if theirs is None:
        return "is in no row of the table"
    if theirs > mine:
        return f"climbs from row {mine:g} to row {theirs:g}"
    if theirs == mine and mine not in SIDEWAYS:
        if my_group == their_group and folder.startswith(target_folder + "/"):
            return None
        return f"goes sideways in row {mine:g}"
    if target_folder.startswith("arch/") and not path.startswith("arch/"):
        return "reaches into an architecture: only arch/*.h are public"
    return None


def check_file(path):
    errors = []
    with open(path) as f:
        text = f.read()
    if not path.startswith("arch/") or path.count("/") != 1:
        if path.endswith(".h") or path.endswith(".c"):
            for m in PROTOTYPE.finditer(text):
                line = text.count("\n", 0, m.start()) + 1
                errors.append(f"{path}:{line}: {m.group(1)}() is declared outside arch/*.h")
    if re.fullmatch(FREE, path):
        return errors
    if row_of(path)[0] is None:
        return errors + [f"{path}:1: this folder is in no row of the table (scripts/check_layers.py)"]
    for number, line in enumerate(text.splitlines(), 1):
        if m := re.match(r'\s*#\s*include\s+"([^"]+)"', line):
            if "/" not in m.group(1):
                why = "is not written from the root of the tree"
            else:
                why = include_error(path, m.group(1))
            if why:
                errors.append(f'{path}:{number}: "{m.group(1)}" {why}')
        elif re.match(r"\s*#\s*include\s+<asm/", line) and not re.fullmatch(ASM_ALLOWED, path):
            errors.append(f"{path}:{number}: <asm/...> is for arch/ and kernel/sync")
    return errors


def sources():
    listed = subprocess.run(["git", "ls-files", "--", "arch", "kernel", "drivers", "vmm", "platforms", "linker",
                             "tools", "guests", "tests"], capture_output=True, text=True, check=True).stdout
    return [p for p in listed.split() if p.endswith((".c", ".h", ".S"))]


def main():
    errors = [e for path in (sys.argv[1:] or sources()) for e in check_file(path)]
    print("\n".join(errors))
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
