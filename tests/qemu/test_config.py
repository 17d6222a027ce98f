# SPDX-License-Identifier: Apache-2.0
"""Configurations that are refused at build time, each with file, line and rule; mistakes are reported all at once."""
import re

import pytest
from lodge import FACTS, Image, vm
from scenarios import HEARTBEAT, host

GOOD = vm("a", "heartbeat")
RAM = FACTS["ram_base"]
CASES = {
    "syntax": ('[[vm]]\nname = "a\n', r":2:\d+"),
    "unclosed table": ('[[vm]\nname = "a"\n', r":1:\d+"),
    "duplicate key": ('[[vm]]\nname = "a"\nname = "b"\n', r":3:\d+: .*name"),
    "unknown key": (vm("a", "heartbeat", more="speed = 3"), r":4:1: .*speed"),
    "unknown table": (GOOD + "[vm.wheels]\ncount = 4\n", r"wheels"),
    "unknown host key": ("[host]\ncolour = \"red\"\n" + GOOD, r":2:1: .*colour"),
    "wrong type": (vm("a", "heartbeat", more='cpus = "two"'), r":4:\d+: .*cpus"),
    "float": (vm("a", "heartbeat", more="cpus = 1.5"), r":4:\d+: .*cpus"),
    "unknown value": (host(console="loud") + GOOD, r":2:\d+: .*console.*(?:merged|focus)"),
    "bad size": (vm("a", "heartbeat", "16Q"), r":3:\d+: .*memory"),
    "unaligned size": (vm("a", "heartbeat", "4097"), r":3:\d+: .*memory"),
    "too little memory": (vm("a", "heartbeat", "4K"), r":3:\d+: .*memory"),
    "no memory": ('[[vm]]\nname = "a"\n[vm.boot]\nkernel = "heartbeat"\n', r"memory"),
    "no name": ('[[vm]]\nmemory = "16M"\n[vm.boot]\nkernel = "heartbeat"\n', r"name"),
    "no kernel": ('[[vm]]\nname = "a"\nmemory = "16M"\n[vm.boot]\n', r"kernel"),
    "bad name": (vm("a b", "heartbeat"), r":2:\d+: .*name"),
    "same name twice": (GOOD + GOOD, r"name.*a.*taken"),
    "missing kernel": (vm("a", "no/such/kernel"), r":6:\d+: .*kernel.*no/such/kernel"),
    "missing initrd": (vm("a", "heartbeat", boot='initrd = "no/such/initrd"'), r":7:\d+: .*initrd"),
    "path upward": (vm("a", "../heartbeat"), r"\.\."),
    "disk without back end": (GOOD + '[[vm.device]]\nmodel = "virtio-blk"\n', r"backend"),
    "unknown back end": (vm("a", "heartbeat", device="tape:0"), r"tape:0"),
    "unknown model": (GOOD + '[[vm.device]]\nmodel = "toaster"\n', r"model.*virtio-blk"),
    "disk owned twice": (vm("a", "heartbeat", device="fat:/x.img") + vm("b", "heartbeat", device="fat:/x.img"),
                         r"x\.img.*in use"),
    "interrupt owned twice": (GOOD + '[[vm.device]]\nmodel = "virtio-console"\nbase = {:#x}\nirq = {}\n'.format(
        FACTS["free_device"], FACTS["uart_irq"][0]), FACTS["uart_irq"][1]),
    "memory overlap": (f'[[vm]]\nname = "a"\n[[vm.memory]]\nbase = {RAM:#x}\nsize = "32M"\n'
                       f'[[vm.memory]]\nbase = {RAM + (16 << 20):#x}\nsize = "16M"\n[vm.boot]\nkernel = "heartbeat"\n',
                       r"overlaps"),
    "device in memory": (GOOD + f"[vm.board]\n{FACTS['board_device']} = {RAM + (1 << 20):#x}\n", r"overlaps"),
    **FACTS["config_cases"],
    "too many pcpus": (GOOD + "[vm.sched]\npcpus = [0, 0]\n", r"pcpus"),
    "load outside memory": (vm("a", "heartbeat", boot="load = 0x1000_0000"), r"load"),
    "not utf-8": ('[[vm]]\nname = "\udcff"\n', r":2:\d+"),
    "deep nesting": ("x = " + "[" * 5000 + "]" * 5000 + "\n", r":1:\d+"),
}


def refused(toml):
    class Raw(Image):
        pass
    image = Raw.__new__(Raw)
    import hashlib
    import os
    from lodge import BUILD, TOP, write_if_changed
    data = toml.encode("utf-8", "surrogateescape")
    image.out = os.path.join(BUILD, "images", "bad-" + hashlib.sha256(data).hexdigest()[:12])
    image.config = os.path.join(image.out, "scenario.toml")
    write_if_changed(os.path.join(TOP, image.config), data)
    good, output = image.build()
    assert not good, "make image took it:\n" + toml
    return output


@pytest.mark.parametrize("name", CASES)
def test_refused(name):
    toml, pattern = CASES[name]
    output = refused(toml)
    lines = [line for line in output.splitlines() if re.search(r"scenario\.toml", line)]
    assert lines, f"no file is named:\n{output}"
    assert any(re.search(pattern, line) for line in lines), output
    said = [line for line in output.splitlines() if not re.match(r"  [A-Z]+ ", line)]  # without the build's own steps
    assert not any("Segmentation" in line or "panic" in line for line in said), output


def test_all_mistakes_in_one_run():
    output = refused(vm("a", "heartbeat", "16Q", more="speed = 3") + vm("b", "no/such", more="colour = 4"))
    for word in ("16Q", "speed", "no/such", "colour"):
        assert re.search(rf"scenario\.toml:\d+:\d+: .*{word}", output), output


def test_missing_file():
    from lodge import make
    done = make("image", "CONFIG=configs/not-there.toml", "OUT=build/test-missing")
    assert done.returncode != 0 and "not-there.toml" in done.stdout


def test_several_files():
    """CONFIG=a.toml:b.toml, and what is wrong in the second is said of the second."""
    import os
    from lodge import BUILD, TOP, make, write_if_changed
    out = os.path.join(BUILD, "images", "several")
    write_if_changed(os.path.join(TOP, out, "one.toml"), GOOD.encode())
    write_if_changed(os.path.join(TOP, out, "two.toml"), HEARTBEAT.encode())
    write_if_changed(os.path.join(TOP, out, "wrong.toml"), (HEARTBEAT + "oops = 1\n").encode())
    assert make("image", f"CONFIG={out}/one.toml:{out}/two.toml", f"OUT={out}").returncode == 0
    done = make("image", f"CONFIG={out}/one.toml:{out}/wrong.toml", f"OUT={out}-wrong")
    assert done.returncode != 0 and re.search(r"wrong\.toml:\d+:\d+: .*oops", done.stdout), done.stdout
