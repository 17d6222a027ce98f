#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs tests/qemu, each test in its own pytest process, two at a time: run_qemu.py [--select WORDS] [--list]

WORDS is a pytest -k expression (`two_guests`, "linux and not fat"). Each test has a hard time limit. Logs of the serial
lines are in build/test-logs/ARCH. The last line is "qemu: N passed, N failed"; a skipped test counts as failed, because
nothing here may be skipped.
"""
import argparse
import concurrent.futures
import os
import re
import signal
import subprocess
import sys
import time

SCALE = float(os.environ.get("LODGE_TIMEOUT_SCALE", "1"))
LIMIT = 900 * SCALE
ARCH = os.environ.get("ARCH") or "aarch64"
PYTEST = ["/usr/bin/python3", "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--no-header", "--rootdir=tests/qemu"]


def collect(select, slow):
    command = PYTEST + ["--collect-only", "tests/qemu"] + (["-k", select] if select else [])
    done = subprocess.run(command, capture_output=True, text=True)
    tests = [line for line in done.stdout.splitlines() if "::" in line]
    if done.returncode not in (0, 5) or not tests:
        print(done.stdout + done.stderr)
        return []
    tests = [t if t.startswith("tests/") else "tests/qemu/" + t for t in tests]
    # The suite inside the image has a target of its own.
    return [t for t in tests if slow or "test_selftest" not in t]


def run(test):
    """(passed, seconds, output)"""
    start = time.monotonic()
    env = dict(os.environ, LODGE_RUN="1")
    process = subprocess.Popen(PYTEST + ["--tb=short", test], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, env=env, start_new_session=True)
    try:
        output, _ = process.communicate(timeout=LIMIT)
        good = process.returncode == 0 and " skipped" not in output
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # its QEMU dies with it
        output, _ = process.communicate()
        output += f"\nno end after {LIMIT:.0f} s\n"
        good = False
    return good, time.monotonic() - start, output


def inner_results():
    """What the suite inside the image reported: its checks are counted one by one."""
    try:
        with open(f"build/test-logs/{ARCH}/test_selftest.test_selftest.log", errors="replace") as f:
            m = re.search(r"selftest: (\d+) passed, (\d+) failed", f.read())
        return (int(m.group(1)), int(m.group(2))) if m else (0, 0)
    except OSError:
        return 0, 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--select", help="only tests whose name fits")
    parser.add_argument("--list", action="store_true", help="print their names, run none")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1))
    args = parser.parse_args()
    os.chdir(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    tests = collect(args.select, args.select == "selftest")
    if args.list:
        print("\n".join(tests))
        return 0
    os.makedirs("build", exist_ok=True)
    with open("build/.test-run", "w", encoding="utf-8") as f:
        f.write("images older than this file are built again\n")
    passed, failed = 0, []
    start = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        running = {pool.submit(run, t): t for t in tests}
        for future in concurrent.futures.as_completed(running):
            name = running[future].removeprefix("tests/qemu/")
            good, seconds, output = future.result()
            print(f"{'ok    ' if good else 'FAILED'} {name} ({seconds:.0f} s)", flush=True)
            if good:
                passed += inner_results()[0] if name.endswith("::test_selftest") else 1
            else:
                failed.append(name)
                print("\n".join("    " + line for line in output.splitlines()[-70:]), flush=True)
    if not tests:
        print("no QEMU test found")
        failed.append("nothing to run")
    if failed:
        print("failed:", *sorted(failed), sep="\n  ")
    print(f"qemu: {passed} passed, {len(failed)} failed ({time.monotonic() - start:.0f} s)")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
