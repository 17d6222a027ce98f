#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs cmocka programs: run_unit.py BINARY...

Each gets a time limit; what a failing one printed (ASan and UBSan reports with it) is shown. The last line is
"unit: N passed, N failed", counting single tests. A program that dies counts one failure more than it reported.
"""
import concurrent.futures
import os
import re
import subprocess
import sys

LIMIT = 300 * float(os.environ.get("LODGE_TIMEOUT_SCALE", "1"))
OPTIONS = {"ASAN_OPTIONS": "abort_on_error=0:detect_stack_use_after_return=1:strict_string_checks=1",
           "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1"}


def run(binary):
    """(passed, failed, skipped, output) of one program."""
    env = dict(os.environ, CMOCKA_MESSAGE_OUTPUT="stdout", **OPTIONS)
    try:
        done = subprocess.run([binary], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=LIMIT)
        output, status = done.stdout.decode(errors="replace"), done.returncode
    except subprocess.TimeoutExpired as e:
        output = (e.stdout or b"").decode(errors="replace") + f"\nno end after {LIMIT:.0f} s\n"
        status = -9
    passed = len(re.findall(r"^\[       OK \]", output, re.M))
    # A failing test has one such line while it runs; groups repeat the names in their summary.
    failed = len(set(re.findall(r"^\[  (?:FAILED|ERROR)  ?\] *(?:--- )?(\S+)", output, re.M)) - {"tests:"})
    skipped = len(set(re.findall(r"^\[  SKIPPED \] (?!\d)(\S+)", output, re.M)))
    if status != 0 and failed == 0:
        output += f"\n{binary}: ended with status {status}\n"
        failed = 1
    if status == 0 and passed + failed + skipped == 0:
        output += f"\n{binary}: reported no test\n"
        failed = 1
    return passed, failed, skipped, output


def short_name(binary):
    return re.sub(r"^.*?/unit/", "", binary)


def main():
    binaries = sys.argv[1:]
    passed = failed = 0
    if not binaries:
        print("no unit test found")
        failed = 1
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for binary, (good, bad, skipped, output) in zip(binaries, pool.map(run, binaries)):
            passed += good
            failed += bad
            if bad:
                print(output)
            more = f", {skipped} skipped" if skipped else ""
            print(f"{'FAILED' if bad else 'ok':6} {short_name(binary)}: {good} passed, {bad} failed{more}",
                  flush=True)
    print(f"unit: {passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
