# SPDX-License-Identifier: Apache-2.0
# A newer QEMU beside the installed one, for tests on both: qemu10/usr/bin/qemu-system-*, to be run with
# -L qemu10/usr/share/qemu. From Debian 13 on the installed one is new enough.
# shellcheck shell=bash

QEMU10_SUITE=bookworm-backports
QEMU10_PACKAGES="qemu-system-arm qemu-system-riscv qemu-system-x86 qemu-system-common qemu-system-data opensbi seabios"

# qemu_is_new: is the installed one of version 10 or later?
qemu_is_new() {
    qemu-system-aarch64 --version 2>/dev/null | grep -qE 'version [1-9][0-9]'
}

qemu10_get() {
    local package deb_arch
    qemu_is_new && return 0
    deb_arch=$(dpkg --print-architecture)
    rm -rf "$CACHE/qemu10.new"
    mkdir -p "$CACHE/qemu10.new" "$CACHE/dl/qemu10"
    apt_root "$QEMU10_SUITE" "$deb_arch"
    for package in $QEMU10_PACKAGES; do
        (cd "$CACHE/dl/qemu10" && { compgen -G "${package}_*.deb" >/dev/null || apt-get -q download "$package"; })
        dpkg-deb -x "$(compgen -G "$CACHE/dl/qemu10/${package}_*.deb" | sort -V | tail -n 1)" "$CACHE/qemu10.new"
    done
    "$CACHE/qemu10.new/usr/bin/qemu-system-aarch64" --version >"$CACHE/qemu10.new/version"
    rm -rf "$CACHE/qemu10"
    mv "$CACHE/qemu10.new" "$CACHE/qemu10"
}

qemu10_plan() {
    [ -s "$CACHE/qemu10/version" ] && return 0
    qemu_is_new && return 0
    step_add must "QEMU 10 beside the installed one" qemu10_get
}
