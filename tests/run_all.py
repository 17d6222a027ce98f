#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""make test: everything but the long ones, one part after the other: run_all.py [PART...]. The last line is
"N passed, N failed".

Counted are single tests: each check, each cmocka test, each fuzz target, each test of the suite inside the image, each
scenario, each row of what operations cost. A part that does not even run counts as one failure. Logs: build/test-logs.
"""
import os
import re
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ARCH = os.environ.get("ARCH") or "aarch64"
FUZZ_RUNS = os.environ.get("FUZZ_RUNS", "5000")
JOBS = f"-j{os.cpu_count() or 1}"

# Name, command, and the line that says how it went.
PARTS = [
    ("check", ["make", JOBS, "check"], r"^check: (\d+) passed, (\d+) failed"),
    ("unit", ["make", JOBS, "unit"], r"^unit: (\d+) passed, (\d+) failed"),
    ("fuzz", ["make", JOBS, "fuzz", f"RUNS={FUZZ_RUNS}"], r"^fuzz: (\d+) passed, (\d+) failed"),
    ("selftest", ["make", JOBS, "selftest"], r"^qemu: (\d+) passed, (\d+) failed"),
    ("qemu-test", ["make", JOBS, "qemu-test"], r"^qemu: (\d+) passed, (\d+) failed"),
    ("bench", ["make", "bench"], r"^bench: (\d+) passed, (\d+) failed"),
]


def run(name, command, pattern):
    """Passes the output on; (passed, failed)."""
    print(f"==== {name}: {' '.join(command)}", flush=True)
    start = time.monotonic()
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "T", "CONFIG", "OUT",
                                                            "LODGE_ALLOW_FALLBACK")}
    passed = failed = 0
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               text=True, errors="replace", env=env)
    for line in process.stdout:
        sys.stdout.write(line)
        sys.stdout.flush()
        if m := re.match(pattern, line):
            passed, failed = int(m.group(1)), int(m.group(2))
    if process.wait() != 0 and failed == 0:
        print(f"{name}: ended with status {process.returncode}")
        failed = 1
    if passed + failed == 0:
        print(f"{name}: no result")
        failed = 1
    return name, passed, failed, time.monotonic() - start


def main():
    os.chdir(TOP)
    unknown = set(sys.argv[1:]) - {part[0] for part in PARTS}
    if unknown:
        sys.exit(f"no such part: {' '.join(unknown)}")
    setup = ["scripts/setup", "--arch", f"{ARCH},host", "--tests", "--checks", "--fuzz", "--qemu10"]
    results = []
    if subprocess.run([*setup, "--check-only"], capture_output=True).returncode:
        if subprocess.run(setup).returncode:
            results.append(("setup", 0, 1, 0.0))
    if not results:
        for part in PARTS:
            if len(sys.argv) == 1 or part[0] in sys.argv:
                results.append(run(*part))
    print("==== summary")
    for name, passed, failed, seconds in results:
        print(f"{'FAILED' if failed else 'ok    '} {name:10} {passed:5} passed {failed:4} failed {seconds:6.0f} s")
    passed, failed = sum(r[1] for r in results), sum(r[2] for r in results)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
