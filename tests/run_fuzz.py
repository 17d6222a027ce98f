#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs libFuzzer programs: run_fuzz.py [--runs N] [--time SECONDS] BINARY...

Seeds come from tests/fuzz/seeds/<name>/ (read only), new inputs go to build/fuzz/<name>/corpus, an input that broke
something to build/fuzz/<name>/. The last line is "fuzz: N passed, N failed", counting programs.
"""
import argparse
import os
import subprocess
import sys

SCALE = float(os.environ.get("LODGE_TIMEOUT_SCALE", "1"))


def fuzz(binary, runs, seconds):
    name = os.path.basename(binary)
    work = os.path.join("build", "fuzz", name)
    corpus = os.path.join(work, "corpus")
    seeds = [d for d in [os.path.join("tests/fuzz/seeds", n) for n in (name, name.removeprefix("fuzz_"))]
             if os.path.isdir(d)]
    os.makedirs(corpus, exist_ok=True)
    command = [binary, f"-runs={runs}", f"-max_total_time={seconds}", "-seed=1", "-timeout=10", "-rss_limit_mb=2048",
               "-print_final_stats=1", f"-artifact_prefix={work}/", corpus, *seeds]
    log = os.path.join(work, "log")
    try:
        with open(log, "wb") as out:
            status = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                                    timeout=seconds * 2 + 60 * SCALE).returncode
    except subprocess.TimeoutExpired:
        status = "no end"
    with open(log, errors="replace") as f:
        text = f.read()
    done = next((line.split()[-1] for line in text.splitlines() if "number_of_executed_units" in line), "?")
    if status == 0:
        print(f"ok     {name}: {done} inputs, {len(seeds)} seed folder(s)", flush=True)
        return True
    print(text[-6000:])
    print(f"FAILED {name}: status {status}; log and input in {work}/", flush=True)
    return False


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20000)
    parser.add_argument("--time", type=int, default=0, help="seconds for each program at most (default: by runs)")
    parser.add_argument("binaries", nargs="*")
    args = parser.parse_args()
    seconds = args.time or max(30, int(args.runs / 500 * SCALE))
    failed = sum(not fuzz(b, args.runs, seconds) for b in args.binaries)
    passed = len(args.binaries) - failed
    if not args.binaries:
        print("no fuzz target found")
        failed = 1
    print(f"fuzz: {passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
