# SPDX-License-Identifier: Apache-2.0
# Debian packages of this machine. What counts is whether the thing is there (a command, a file), so a machine
# without apt works too, once its owner has provided the same things.
# shellcheck shell=bash

# cross_prefix ARCH: sets PREFIX to the compiler prefix to use; status 1 if there is no compiler.
cross_prefix() {
    local p
    PREFIX=""
    [ "$1" = host ] && { command -v gcc >/dev/null; return; }
    if [ -n "${CROSS_COMPILE:-}" ]; then
        case $("${CROSS_COMPILE}gcc" -dumpmachine 2>/dev/null) in
            "$1"-*) PREFIX=$CROSS_COMPILE; return 0 ;;
        esac
    fi
    for p in ${CC_PREFIXES[$1]}; do
        PREFIX=$p
        command -v "${p}gcc" >/dev/null && return 0
    done
    return 1
}

# present PROBE: a path (wildcards allowed) or a command.
present() {
    case $1 in
        /*) compgen -G "$1" >/dev/null ;;
        *) command -v "$1" >/dev/null ;;
    esac
}

# packages_missing SET: sets MISSING to the items of that set that are not there.
packages_missing() {
    local item
    MISSING=""
    for item in ${PACKAGES[$1]}; do
        [ "${item%%:*}" != debian-archive-keyring ] || command -v apt-get >/dev/null || continue
        present "${item#*:}" || MISSING+=" ${item%%:*}"
    done
    case " $ALL_ARCHES " in
        *" $1 "*) cross_prefix "$1" || MISSING+=" ${CC_PACKAGE[$1]}" ;;
    esac
}

packages_stamp() {
    echo "$CACHE/stamps/packages-$1"
}

# packages_done SET. An installation that was interrupted has left the word "installing" in the stamp.
packages_done() {
    packages_missing "$1"
    [ -z "$MISSING" ] || return 1
    stamp_is "$(packages_stamp "$1")" installing && return 1
    stamp_is "$(packages_stamp "$1")" "$(hash_of "${PACKAGES[$1]}")" ||
        { [ "$CHECK_ONLY" = yes ] || stamp_write "$(packages_stamp "$1")" "$(hash_of "${PACKAGES[$1]}")"; }
}

# real_names ITEM...: package names, an "a|b" resolved to the first that apt knows.
real_names() {
    local item name
    for item in "$@"; do
        for name in ${item//|/ }; do
            apt-cache show "$name" >/dev/null 2>&1 && break
        done
        echo "$name"
    done
}

packages_install() {
    local stamp
    stamp=$(packages_stamp "$1")
    export DEBIAN_FRONTEND=noninteractive
    stamp_write "$stamp" installing
    as_root dpkg --configure -a                    # what an interrupted installation left undone
    as_root apt-get -q -o DPkg::Lock::Timeout=300 update || echo "update failed: trying with the lists at hand"
    packages_missing "$1"
    # shellcheck disable=SC2046,SC2086
    as_root apt-get -q -y -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 install --no-install-recommends \
        $(real_names $MISSING)
    packages_missing "$1"
    [ -z "$MISSING" ] || { echo "installed, but still not found:$MISSING"; return 1; }
    stamp_write "$stamp" "$(hash_of "${PACKAGES[$1]}")"
}

# packages_plan SET: adds a step if something is missing, or says what to do by hand.
packages_plan() {
    packages_done "$1" && return 0
    NEED_PACKAGES+=$MISSING
    step_add must "Debian packages ($1):$MISSING" packages_install "$1"
}

# packages_possible: called once after planning; stops with advice when the packages cannot be installed.
packages_possible() {
    [ -n "$NEED_PACKAGES" ] || return 0
    if ! command -v apt-get >/dev/null; then
        by_hand "This machine has no apt. Please provide what these Debian packages hold:$NEED_PACKAGES"
    fi
    [ "$OFFLINE" = no ] || die "offline, and these packages are not installed:$NEED_PACKAGES"
    can_be_root || {
        printf 'setup: Debian packages are missing and this needs root. Please run:\n    %s\nor scripts/setup by sudo.\n' \
            "su -c 'apt-get update && apt-get install -y --no-install-recommends$(first_choice "$NEED_PACKAGES")'" >&2
        exit 1
    }
}

# first_choice "a|b c": "a c" without the alternatives.
first_choice() {
    printf '%s' "$1" | sed 's/|[^ ]*//g'
}

by_hand() {
    printf 'setup: %s\n' "$1" >&2
    cat >&2 <<'END'
What is not Debian's can be given by hand:
  CROSS_COMPILE=PREFIX-   a GCC for the target (aarch64-none-elf-, aarch64-linux-gnu-), on PATH
  on PATH                 gcc make python3 mtools mkfs.fat, QEMU 7.2 or later (qemu-system-aarch64 ...)
  PICOLIBC_DIR LIBFDT_DIR ZLIB_DIR FATFS_DIR
                          unpacked sources of picolibc 1.8.10, dtc 1.7.2, zlib 1.3.1, FatFs R0.15
  LINUX_DIR BUSYBOX_DIR   an unpacked kernel package (boot/, lib/modules/) and static busybox (bin/busybox)
  DEBIAN_MIRROR=URI       if apt is here but not Debian's (needs debian-archive-keyring); then only the
                          programs above are needed
or copy the cache folder of another machine: LODGE_CACHE, default ~/.cache/lodge.
END
    exit 1
}
