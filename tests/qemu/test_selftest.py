# SPDX-License-Identifier: Apache-2.0
"""The contract suite inside the image: `make selftest`."""
import pytest
from lodge import FACTS, Image, Machine
from test_boot import enter


def suite_passes(m, last=r"(\d+) passed, \d+ failed"):
    """Every check up to the line `last` is ok."""
    failed, count = [], 0
    while True:
        match = m.expect(rf"selftest: {last}", r"selftest: ([^\r\n]+) (FAILED|ok)\r", timeout=600)
        if match.re.pattern.endswith(last):
            break
        count += 1
        if match.group(2) != "ok":
            failed.append(f"{match.group(1)} {match.group(2)}")
    assert count > 0 and not failed, failed
    return match


def test_selftest():
    with Machine(Image("configs/heartbeats.toml", selftest=True)) as m:
        match = suite_passes(m)
        assert match.group(0).endswith(" 0 failed")


@pytest.mark.needs("device-tree")
def test_device_tree_near_the_image(work):
    """The boot loader put the device tree so near that one large page would hold both. The lives are left out."""
    with enter(Image("configs/heartbeats.toml", selftest=True), work, FACTS["near_tree"], copy=True) as m:
        suite_passes(m, last=r"mmu: stacks have guard pages ok")
