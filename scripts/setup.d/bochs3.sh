# SPDX-License-Identifier: Apache-2.0
# A newer Bochs beside the installed one, for tests of what that does not emulate: bochs3/usr/bin/bochs-bin. It needs a newer C
# library, too (scripts/bochs runs it with that); everything else comes with the installed one.
# shellcheck shell=bash

BOCHS3_PACKAGES="bochs libc6"

bochs3_get() {
    local package
    rm -rf "$CACHE/bochs3.new"
    mkdir -p "$CACHE/bochs3.new" "$CACHE/dl/bochs3"
    apt_root "$SUITE" amd64
    for package in $BOCHS3_PACKAGES; do
        (cd "$CACHE/dl/bochs3" && { compgen -G "${package}_*.deb" >/dev/null || apt-get -q download "$package"; })
        dpkg-deb -x "$(compgen -G "$CACHE/dl/bochs3/${package}_*.deb" | sort -V | tail -n 1)" "$CACHE/bochs3.new"
    done
    touch "$CACHE/bochs3.new/complete"
    rm -rf "$CACHE/bochs3"
    mv "$CACHE/bochs3.new" "$CACHE/bochs3"
}

# Its program is for x86-64 hosts, and only x86_64 is tested with it.
bochs3_plan() {
    [ -e "$CACHE/bochs3/complete" ] && return 0
    [ "$(dpkg --print-architecture)" = amd64 ] && [[ " $ARCHES " == *" x86_64 "* ]] || return 0
    step_add must "Bochs 3.0 beside the installed one" bochs3_get
}
