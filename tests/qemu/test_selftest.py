# SPDX-License-Identifier: Apache-2.0
"""The contract suite inside the image: `make selftest`."""
from lodge import FACTS, Image, Machine
from test_boot import enter


def suite_passes(m):
    failed = []
    while True:
        match = m.expect(r"selftest: (\d+) passed, (\d+) failed", r"selftest: ([^\r\n]+) (FAILED|ok)\r", timeout=600)
        if match.group(1).isdigit():
            break
        if match.group(2) != "ok":
            failed.append(f"{match.group(1)} {match.group(2)}")
    print(match.group(0))
    assert int(match.group(1)) > 0
    assert int(match.group(2)) == 0 and not failed, failed


def test_selftest():
    with Machine(Image("configs/heartbeats.toml", selftest=True)) as m:
        suite_passes(m)


def test_device_tree_near_the_image(work):
    """The boot loader put the device tree so near that one large page would hold both."""
    with enter(Image("configs/heartbeats.toml", selftest=True), work, FACTS["near_tree"], copy=True) as m:
        suite_passes(m)
