# SPDX-License-Identifier: Apache-2.0
# The Debian guest of each architecture: guests/<arch>/debian/{kernel,initrd,version}, from Debian's own kernel
# package and its static busybox. Only the files needed are unpacked. .ready is written last.
# shellcheck shell=bash

guest_folder() {
    echo "$CACHE/guests/$1/debian"
}

# linux_folder ARCH, busybox_folder ARCH: the user's unpacked package, or the one in the cache.
linux_folder() {
    echo "${LINUX_DIR:-$CACHE/src/linux-$1}"
}

busybox_folder() {
    echo "${BUSYBOX_DIR:-$CACHE/src/busybox-$1}"
}

# guest_hash ARCH: of everything the guest's files are made from.
guest_hash() {
    hash_of "$(cat "$(linux_folder "$1")/.from" "$(busybox_folder "$1")/.from" 2>/dev/null)" \
        "${LINUX_DIR:-} ${BUSYBOX_DIR:-}" "$GUEST_MODULES ${KERNEL_FILE[$1]}" \
        "$(cat "$TOP/guests/debian/init" "$SETUP_D/initrd.py")" "$(declare -f guest_make)"
}

guest_done() {
    [ -s "$(guest_folder "$1")/kernel" ] && stamp_is "$(guest_folder "$1")/.ready" "$(guest_hash "$1")"
}

guest_get_linux() {
    # The metapackage itself is never fetched, so the shape of the name is enough to find the file in dl/.
    local glob="linux-image-[0-9]*${KERNEL_FLAVOUR[$1]}_*_${DEB_ARCH[$1]}.deb"
    if ! fetched_already "$glob"; then
        [ "$OFFLINE" = yes ] || apt_root "$SUITE" "${DEB_ARCH[$1]}"
        fetch "$glob" linux_download "$1"
    fi
    linux_files "$1"
    unpack "$FETCHED" "$CACHE/src/linux-$1" "${LINUX_FILES[@]}"
}

# The real name of the kernel package changes with each point release: the metapackage knows it.
linux_download() {
    local name
    name=$(apt-cache depends --important "${KERNEL_PACKAGE[$1]}" |
        sed -n 's/^ *Depends: \(linux-image-[^ ]*\)$/\1/p' | head -n 1)
    [ -n "$name" ] && apt-get -q download "$name"
}

# linux_files ARCH: sets LINUX_FILES to the patterns of what is taken from the kernel package.
linux_files() {
    local module
    LINUX_FILES=("boot/${KERNEL_FILE[$1]}-*")
    for module in $GUEST_MODULES; do
        LINUX_FILES+=("*/$module.ko*")
    done
}

guest_get_busybox() {
    fetch_deb busybox-static "${DEB_ARCH[$1]}"
    unpack "$FETCHED" "$CACHE/src/busybox-$1" "*bin/busybox"
}

guest_make() {
    local to kernel linux busybox
    to=$(guest_folder "$1")
    linux=$(linux_folder "$1")
    busybox=$(find "$(busybox_folder "$1")" -path '*bin/busybox' -type f | head -n 1)
    kernel=$(compgen -G "$linux/boot/${KERNEL_FILE[$1]}-*" | sort -V | tail -n 1)
    if [ -z "$kernel" ] || [ -z "$busybox" ]; then
        echo "no boot/${KERNEL_FILE[$1]}-* in $linux or no bin/busybox in $(busybox_folder "$1")"
        return 1
    fi
    mkdir -p "$to"
    cp "$kernel" "$to/kernel.new"
    # shellcheck disable=SC2086
    /usr/bin/python3 "$SETUP_D/initrd.py" --busybox "$busybox" --init "$TOP/guests/debian/init" \
        --modules-from "$linux" --out "$to/initrd.new" $GUEST_MODULES
    rm -f "$to/.ready"
    mv -f "$to/kernel.new" "$to/kernel"
    mv -f "$to/initrd.new" "$to/initrd"
    { basename "$kernel"; head -qn 1 "$linux/.from" "$(busybox_folder "$1")/.from" 2>/dev/null || true; } >"$to/version"
    stamp_write "$to/.ready" "$(guest_hash "$1")"
}

guest_plan() {
    guest_done "$1" && return 0
    linux_files "$1"
    [ -n "${LINUX_DIR:-}" ] || unpacked "$(linux_folder "$1")" "${LINUX_FILES[@]}" ||
        step_add "guest:$1" "Debian kernel for $1 (${KERNEL_PACKAGE[$1]})" guest_get_linux "$1"
    [ -e "$(busybox_folder "$1")/.from" ] || [ -n "${BUSYBOX_DIR:-}" ] ||
        step_add "guest:$1" "busybox for $1" guest_get_busybox "$1"
    step_add "guest:$1" "Debian guest for $1: kernel and initrd" guest_make "$1"
}
