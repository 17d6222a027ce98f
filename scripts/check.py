#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""make check: what can be said about the tree without running it. Ends with "check: N passed, N failed".

  check.py --build build/qemu-aarch64 --cross aarch64-linux-gnu- [--arch aarch64] [NAME...]

TARGET_CC and HOST_CC (compiler and flags; the Makefile sets them) are needed for `headers`.
"""
import argparse
import concurrent.futures
import os
import re
import shlex
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(__file__))
import check_layers  # noqa: E402

JOBS = os.cpu_count() or 1
FUNCTION_LINES, TABLE_LINES, MAKEFILE_LINES = 60, 100, 250
FILE_LINES, TEST_FILE_LINES = 800, 1000

# Functions that may have TABLE_LINES: tables and pure dispatch.
LONG_FUNCTIONS = {
}

# The only symbols whose code may name FP, SIMD or vector registers, and those registers as operands.
FP_SYMBOLS = {"fp_save", "fp_load", "vec_save", "vec_load", "fp_xsave", "fp_xrstor", "fp_fxsave", "fp_fxrstor"}
FP_OPERAND = {
    "aarch64": r"(?:[vqdshbz](?:[0-9]|[12][0-9]|3[01])|p(?:[0-9]|1[0-5]))(?:[./].*)?",
    "riscv64": r"(?:f(?:t[0-9]|t1[01]|s[0-9]|s1[01]|a[0-7])|f[0-9]|f[12][0-9]|f3[01]|v(?:[0-9]|[12][0-9]|3[01]))(?:\.t)?",
    "x86_64": r"%?(?:[xyz]mm(?:[0-9]|[12][0-9]|3[01])|mm[0-7]|st(?:\([0-7]\))?|k[0-7])",
}

# cppcheck: what is silenced everywhere, and why.
CPPCHECK_SUPPRESSIONS = [
    "comparePointers",       # the linker's symbols bound areas: they are compared and subtracted on purpose
    "constStatement:arch/riscv64/cpu/sbi.c",  # misreads variables that asm("a0") binds to registers
    "missingIncludeSystem",  # libraries are not in its path
    "unusedStructMember",    # layouts given by hardware and specifications
    "unmatchedSuppression",
    "normalCheckLevelMaxBranches",
]


# cmocka wants these before its own header, so tests include them all first.
CMOCKA = "".join(f"#include <{h}.h>\n" for h in ("setjmp", "stdarg", "stddef", "stdint", "cmocka"))


class Failed(Exception):
    pass


def git_files(*patterns):
    """Tracked files, and new ones that are not ignored."""
    out = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "--", *patterns], capture_output=True,
                         text=True, check=True).stdout
    return sorted({p for p in out.split("\n") if p and os.path.isfile(p)})


def read(path):
    with open(path, errors="replace") as f:
        return f.read()


def fail_if(errors):
    if errors:
        raise Failed("\n".join(errors))


def in_parallel(function, items):
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        return [r for r in pool.map(function, items) if r]


def batches(items, size):
    return [items[i:i + size] for i in range(0, len(items), size)]


# ---- the image ---------------------------------------------------------------------------------------------------

def fp_errors(disassembly, operand):
    """Lines that name an FP register as an operand outside the allowed symbols."""
    errors, symbol = [], "?"
    whole = re.compile(operand)
    for line in disassembly:
        if m := re.match(r"^[0-9a-f]+ <([^>]+)>:", line):
            symbol = m.group(1)
            continue
        # address:<tab>opcode bytes<tab>mnemonic<tab>operands
        fields = line.rstrip("\n").split("\t")
        if len(fields) < 4 or fields[2].startswith(".") or symbol in FP_SYMBOLS:
            continue
        text = re.sub(r"(//|#).*| //.*", "", re.sub(r"[0-9a-f]+ <[^>]*>", "", ",".join(fields[3:])))
        if any(whole.fullmatch(token) for token in re.split(r"[\s,{}\[\]()!-]+", text) if token):
            errors.append(f"{symbol}: {' '.join(fields[2:])}")
    return errors


def check_fp(args):
    """no FP, SIMD or vector instruction outside the vCPU switch"""
    elf = os.path.join(args.build, "lodge.elf")
    if not os.path.exists(elf):
        raise Failed(f"{elf} is not there: make image")
    process = subprocess.Popen([args.cross + "objdump", "-d", elf], stdout=subprocess.PIPE, text=True)
    lines = list(process.stdout)
    if process.wait() != 0 or not any(f"<{symbol}>:" in line for line in lines for symbol in ("fp_save", "fp_xsave")):
        raise Failed("the disassembly has none of the vCPU switch's: was the right file looked at?")
    fail_if(fp_errors(lines, FP_OPERAND[args.arch])[:40])


# ---- the sources -------------------------------------------------------------------------------------------------

def check_format(_args):
    """clang-format 14"""
    version = subprocess.run(["clang-format", "--version"], capture_output=True, text=True).stdout
    if "version 14" not in version:
        raise Failed(f"clang-format 14 is the one whose taste counts, this is: {version.strip()}")

    def one(files):
        done = subprocess.run(["clang-format", "--dry-run", "-Werror", *files], capture_output=True, text=True)
        places = re.findall(r"^(\S+?:\d+):\d+: error", done.stderr, re.M)
        by_file = {}
        for place in places:
            by_file.setdefault(place.split(":")[0], []).append(place.split(":")[1])
        return "\n".join(f"{f}: lines {' '.join(n[:12])}" for f, n in by_file.items())
    fail_if(in_parallel(one, batches(git_files("*.c", "*.h"), 20)))


def check_layers_(_args):
    """includes only point downward"""
    roots = ("arch", "kernel", "drivers", "vmm", "platforms", "linker", "tools", "guests", "tests")
    files = git_files(*(f"{r}/*.{e}" for r in roots for e in "chS"))
    fail_if([e for path in files for e in check_layers.check_file(path)])


def header_compilers(path, args):
    """Which compilers a header must please: (name, command)."""
    target = ("target", shlex.split(os.environ["TARGET_CC"]))
    host = ("host", shlex.split(os.environ["HOST_CC"]))
    if path.startswith("arch/") and path.count("/") > 1:
        arch = path.split("/")[1]
        return [host] if arch == "host" else [target] if arch == args.arch else []
    if path.startswith(("tests/", "tools/")):
        return [host]
    if path.startswith("guests/"):
        other = re.match(r"guests/[^/]+/(aarch64|riscv64|x86_64)/", path)
        return [] if other and other.group(1) != args.arch else [target]
    if path.startswith(("drivers/", "platforms/", "linker/")):
        return [target]
    if path.startswith("scripts/"):
        return []
    return [target, host]


def check_headers(args):
    """every header compiles alone"""
    if "TARGET_CC" not in os.environ or "HOST_CC" not in os.environ:
        raise Failed("TARGET_CC and HOST_CC are not set: run make check")

    def one(item):
        path, (name, command) = item
        keep = [a for a in command if a not in ("-MMD", "-MP")]
        with tempfile.TemporaryDirectory() as folder:
            source = os.path.join(folder, "alone.c")
            with open(source, "w") as f:  # an unused static inline function is no mistake of the header
                f.write(CMOCKA if path.startswith("tests/unit/") else "")
                f.write(f'#include "{path}"\n')
            done = subprocess.run([*keep, "-fsyntax-only", "-Wno-unused-function", source], capture_output=True,
                                  text=True)
        return f"{path} ({name}):\n{done.stderr[:1500]}" if done.returncode else None
    fail_if(in_parallel(one, [(p, c) for p in git_files("*.h") for c in header_compilers(p, args)]))


def long_functions(path):
    start = 0
    signature = ""
    for number, line in enumerate(read(path).splitlines(), 1):
        if line == "{":
            start = number
        elif line == "}" and start:
            if m := re.findall(r"(\w+)\(", signature):
                limit = TABLE_LINES if f"{path}:{m[0]}" in LONG_FUNCTIONS else FUNCTION_LINES
                if number - start - 1 > limit:
                    yield f"{path}:{start}: {m[0]}() has {number - start - 1} lines, {limit} are allowed"
            start, signature = 0, ""
        elif not start and line and not line[0].isspace():
            signature = line


def check_sizes(_args):
    """functions, files and the Makefile are short"""
    errors = []
    for path in git_files("*.c", "*.h", "*.S", "*.py", "*.sh", "scripts/*"):
        lines = read(path).count("\n")
        limit = TEST_FILE_LINES if path.startswith("tests/") else FILE_LINES
        if lines > limit:
            errors.append(f"{path}: {lines} lines, {limit} are allowed")
        if path.endswith((".c", ".h")):
            errors += long_functions(path)
    lines = read("Makefile").count("\n")
    if lines > MAKEFILE_LINES:
        errors.append(f"Makefile: {lines} lines, {MAKEFILE_LINES} are allowed")
    fail_if(errors)


def check_cppcheck(args):
    """cppcheck: warning, portability, performance"""
    files = git_files("arch/host/*.c", f"arch/{args.arch}/*.c", "kernel/*.c", "drivers/*.c", "vmm/*.c", "tools/*.c",
                      "platforms/*.c")
    build = os.path.join("build", "cppcheck")
    os.makedirs(build, exist_ok=True)
    command = ["cppcheck", "--quiet", "--enable=warning,portability,performance", "--inline-suppr", f"-j{JOBS}",
               "--std=c11", "--language=c", "-I.", f"-Iarch/{args.arch}/include", f"--cppcheck-build-dir={build}",
               "-D__GNUC__=12", "-D__aarch64__=1", "-DLODGE_DEBUG=1", '-DLODGE_VERSION="check"', "-UDEBUG",
               "--template={file}:{line}: {id}: {message}", "--error-exitcode=1", "--max-configs=1",
               *(f"--suppress={s}" for s in CPPCHECK_SUPPRESSIONS), *files]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise Failed((done.stdout + done.stderr)[-6000:])


def check_spdx(_args):
    """every source names its licence"""
    errors = []
    for path in git_files():
        text = read(path)
        script = text.startswith("#!")
        if not (path.endswith((".c", ".h", ".S", ".py", ".sh", ".toml")) or path == "Makefile" or script):
            continue
        if path.endswith(".toml") and not path.startswith(("configs/", "guests/")):
            continue  # inputs of tests, configurations of the user's own
        if "SPDX-License-Identifier: Apache-2.0" not in "\n".join(text.splitlines()[:3]):
            errors.append(f"{path}: no SPDX line")
    fail_if(errors)


def check_names(_args):
    """no host names, no paths of one machine"""
    host = re.compile(r"https?://|\b(?:www|deb|ftp|git|security|snapshot)\.[a-z][\w-]*\.\w+|"
                      r"\b[a-z0-9][a-z0-9-]{2,}\.(?:org|com)\b|(?<![\w$}])/(?:root|home/[a-z]\w*)/", re.I)
    errors = []
    for path in git_files():
        if path == "scripts/check.py":
            continue
        for number, line in enumerate(read(path).splitlines(), 1):
            if m := host.search(line):
                errors.append(f"{path}:{number}: {m.group(0)}")
    fail_if(errors)


def check_tracked(_args):
    """no binaries and nothing of others in the repository"""
    errors = []
    out = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True).stdout
    for path in filter(os.path.isfile, out.split("\n")):
        seed = path.startswith("tests/fuzz/seeds/")
        with open(path, "rb") as f:
            data = f.read()
        if b"\0" in data and not seed:
            errors.append(f"{path}: is binary")
        if len(data) > (65536 if seed else 262144):
            errors.append(f"{path}: {len(data)} bytes")
        if not seed and re.search(rb"(?i)copyright \(c\)|all rights reserved", data) and path != "scripts/check.py":
            errors.append(f"{path}: carries a copyright line of its own")
    fail_if(errors)


CHECKS = {
    "fp": check_fp, "format": check_format, "layers": check_layers_, "headers": check_headers, "sizes": check_sizes,
    "cppcheck": check_cppcheck, "spdx": check_spdx, "names": check_names, "tracked": check_tracked,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True)
    parser.add_argument("--cross", required=True)
    parser.add_argument("--arch", default=os.environ.get("ARCH", "aarch64"), choices=FP_OPERAND)
    parser.add_argument("names", nargs="*", choices=[[], *CHECKS])
    args = parser.parse_args()
    failed = 0
    names = args.names or list(CHECKS)
    for name in names:
        try:
            CHECKS[name](args)
            print(f"ok     {name}: {CHECKS[name].__doc__}", flush=True)
        except Failed as e:
            failed += 1
            print(f"FAILED {name}: {CHECKS[name].__doc__}\n{e}", flush=True)
        except OSError as e:
            failed += 1
            print(f"FAILED {name}: {e}", flush=True)
    print(f"check: {len(names) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
