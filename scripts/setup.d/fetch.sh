# SPDX-License-Identifier: Apache-2.0
# Files from Debian that are not for this machine: sources of a newer suite, packages of another architecture.
# They come through a private apt root (own lists, own status, the machine's mirror and proxy), which needs no
# root and checks signatures against Debian's keyring. Fetched files stay in dl/ and are then used offline.
# shellcheck shell=bash

# debian_mirror: the mirror this machine's own apt uses.
debian_mirror() {
    local uri="${DEBIAN_MIRROR:-}"
    [ -n "$uri" ] || uri=$(mirror_of_machine)
    if [ -z "$uri" ] && can_be_root; then          # a fresh machine has no lists yet
        as_root apt-get -q update >&2
        uri=$(mirror_of_machine)
    fi
    [ -n "$uri" ] || by_hand "This machine's apt knows no Debian mirror, and sources or guest files are missing."
    echo "${uri%/}"
}

mirror_of_machine() {
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' |
        grep -v '^cdrom:' | sort -u | head -n 1
}

# apt_root SUITE DEBARCH: makes the private root if needed; sets APT_CONFIG to its configuration.
apt_root() {
    local root="$CACHE/apt/$1-$2" mirror
    export APT_CONFIG="$root/apt.conf"
    [ -e "$root/updated" ] && return 0
    command -v apt-get >/dev/null || by_hand "This machine has no apt, and sources or guest files are missing."
    mirror=$(unset APT_CONFIG; debian_mirror)
    mkdir -p "$root/state/lists/partial" "$root/cache/archives/partial"
    : >"$root/status"
    apt_root_sources "$mirror" "$1" "$2" >"$root/sources.list"
    cat >"$root/apt.conf" <<END
Dir::Etc::SourceList "$root/sources.list";   Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Preferences "/dev/null";           Dir::Etc::PreferencesParts "/dev/null";
Dir::State "$root/state";  Dir::State::status "$root/status";  Dir::Cache "$root/cache";
Dir::Cache::pkgcache "";  Dir::Cache::srcpkgcache "";  Acquire::GzipIndexes "true";
APT::Architecture "$2";  APT::Architectures { "$2"; };
Acquire::Languages "none";  Acquire::Retries "3";  APT::Sandbox::User "root";
APT::Update::Post-Invoke-Success "";
END
    apt_root_update
}

apt_root_sources() {
    local type types=deb
    [ "$3" = "$SOURCE_DEB_ARCH" ] && [ "$2" = "$SUITE" ] && types="deb deb-src"
    for type in $types; do
        echo "$type [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $1 $2 main"
    done
}

apt_root_update() {
    apt-get -q -o APT::Update::Error-Mode=any update
    : >"${APT_CONFIG%/*}/updated"
}

# fetch GLOB APT-COMMAND...: runs the command in a folder of its own and moves what it brought to dl/, unless
# dl/ has a file like GLOB already. Sets FETCHED to that file. apt has checked its hash.
fetch() {
    local glob=$1 part="$CACHE/dl/part.$$"
    shift
    fetched_already "$glob" && return 0
    [ "$OFFLINE" = no ] || { echo "offline, and $CACHE/dl has no $glob" >&2; return 1; }
    rm -rf "$CACHE"/dl/part.*
    mkdir -p "$part"
    if ! (cd "$part" && "$@"); then                # a point release has replaced the file: newer lists know
        apt_root_update
        (cd "$part" && "$@")
    fi
    mv -f "$part"/* "$CACHE/dl/"
    rmdir "$part"
    fetched_already "$glob" || { echo "apt brought no $glob" >&2; return 1; }
}

fetched_already() {
    FETCHED=$(compgen -G "$CACHE/dl/$1" | sort -V | tail -n 1) && [ -n "$FETCHED" ]
}

fetch_orig() {
    fetched_already "$1_*.orig.tar.*" && return 0
    [ "$OFFLINE" = yes ] || apt_root "$SUITE" "$SOURCE_DEB_ARCH"
    fetch "$1_*.orig.tar.*" apt-get -q source --tar-only --download-only "$1"
}

# fetch_deb PACKAGE DEBARCH [SUITE]
fetch_deb() {
    fetched_already "$1_*_@($2|all).deb" && return 0
    [ "$OFFLINE" = yes ] || apt_root "${3:-$SUITE}" "$2"
    fetch "$1_*_@($2|all).deb" apt-get -q download "$1"
}

# unpack FILE FOLDER PATTERN...: the folder appears whole; .from names the file and the patterns.
unpack() {
    local file=$1 to=$2
    shift 2
    rm -rf "$to" "$to.new"
    mkdir -p "$to.new"
    case $file in
        *.deb) dpkg-deb --fsys-tarfile "$file" ;;
        *) cat "$file" ;;
    esac | /usr/bin/python3 "$SETUP_D/untar.py" "$to.new" "$@"
    printf '%s\n' "${file##*/}" "$*" >"$to.new/.from"
    mv "$to.new" "$to"
}

# unpacked FOLDER PATTERN...: is it there, made with these patterns?
unpacked() {
    local folder=$1
    shift
    [ -r "$folder/.from" ] && [ "$(sed -n 2p "$folder/.from")" = "$*" ]
}
