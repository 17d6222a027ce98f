# SPDX-License-Identifier: Apache-2.0
"""The contract suite inside the image: `make selftest`."""
from lodge import Image, Machine


def test_selftest():
    with Machine(Image("configs/heartbeats.toml", selftest=True)) as m:
        failed = []
        while True:
            match = m.expect(r"selftest: (\d+) passed, (\d+) failed", r"selftest: (\S+) (FAILED[^\r\n]*|ok)")
            if match.group(1).isdigit():
                break
            if match.group(2) != "ok":
                failed.append(f"{match.group(1)} {match.group(2)}")
        print(match.group(0))
        assert int(match.group(1)) > 0
        assert int(match.group(2)) == 0 and not failed, failed
