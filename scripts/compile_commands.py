#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes compile_commands.json for editors: compile_commands.py BUILD_DIR OBJECT...

The Makefile passes compiler and flags as TARGET_CC in the environment: a shell in between would eat quotes.
"""
import json
import os
import shlex
import sys


def main():
    build, objects = sys.argv[1], sys.argv[2:]
    command = shlex.split(os.environ["TARGET_CC"])
    entries = []
    for obj in objects:
        stem = os.path.splitext(os.path.relpath(obj, build))[0]
        source = next((stem + s for s in (".c", ".S") if os.path.exists(stem + s)), None)
        if source:
            entries.append({"directory": os.getcwd(), "file": source, "output": obj,
                            "arguments": command + ["-c", "-o", obj, source]})
    json.dump(entries, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
