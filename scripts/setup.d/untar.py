# SPDX-License-Identifier: Apache-2.0
"""Unpack a tar stream (plain, gzip, bzip2, xz) from standard input: untar.py FOLDER PATTERN...

Only files whose path matches a shell pattern are written. A bare Debian has tar but neither xz nor bzip2,
and python3 brings both.
"""
import fnmatch
import os
import sys
import tarfile


def main(folder, patterns):
    count = 0
    with tarfile.open(fileobj=sys.stdin.buffer, mode="r|*") as archive:
        for member in archive:
            name = os.path.normpath(member.name)
            if name.startswith(("/", "..")) or not member.isfile():
                continue
            if not any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns):
                continue
            path = os.path.join(folder, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as out:
                out.write(archive.extractfile(member).read())
            os.chmod(path, 0o755 if member.mode & 0o100 else 0o644)
            count += 1
    if count == 0:
        sys.exit("nothing in the archive matches " + " ".join(patterns))


main(sys.argv[1], sys.argv[2:])
