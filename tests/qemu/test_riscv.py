# SPDX-License-Identifier: Apache-2.0
"""What only riscv64 has: timers without Sstc, hostile SBI calls and CSR accesses."""
from lodge import Image, Machine, vm
from scenarios import HEARTBEAT


def test_hostile_calls():
    """Every case passes, the neighbour beats on (on the same CPU)."""
    with Machine(Image(HEARTBEAT + vm("red", "rvteam")), smp=1) as m:
        m.expect(r"rvteam: (\d+) of \1 passed")
        m.expect(r"heartbeat [2-9]")


def test_emulated_timer():
    with Machine(Image(HEARTBEAT + vm("other", "heartbeat")), smp=1, cpu="rv64,sstc=off") as m:
        m.expect(r"guest timer emulated")
        m.expect(r"\[heartbeat\] heartbeat 3")
        m.expect(r"\[other\] heartbeat 3")
