# SPDX-License-Identifier: Apache-2.0
# The libraries of each architecture: deps/<arch>/include and deps/<arch>/lib/lib*.a, with our flags.
# A library's hash covers its recipe (the function below), flags, compiler, source and configuration files;
# deps/<arch>/.ready holds the hash of them all and is written last.
# shellcheck shell=bash

# picolibc: only what has no state. memcpy, memmove and memset are ours (arch/).
PICOLIBC_STRING="memccpy memchr memcmp memmem mempcpy memrchr rawmemchr
    stpcpy stpncpy strcasecmp strcasestr strcat strchr strchrnul strcmp strcpy strcspn strlcat strlcpy strlen
    strncasecmp strncat strncmp strncpy strnlen strnstr strpbrk strrchr strsep strspn strstr strtok_r strverscmp"
PICOLIBC_TINYSTDIO="snprintf vsnprintf vfiprintf filestrput strtol strtoul strtoll strtoull strtoimax strtoumax"
PICOLIBC_CTYPE="ctype_ ctype_table isalnum isalpha isascii isblank iscntrl isdigit isgraph islower isprint ispunct
    isspace isupper isxdigit tolower toupper"
PICOLIBC_OTHER="search/qsort search/bsearch errno/errno"

build_picolibc() {
    local src inc=$DEPS/include
    src=$(compgen -G "$1/newlib/libc" || compgen -G "$1/*/newlib/libc")
    rm -rf "$inc.new"
    mkdir -p "$inc.new"
    cp -R "$src/include/." "$inc.new/"
    cp "$src"/tinystdio/stdio*.h "$SETUP_D/picolibc.h" "$inc.new/"
    mkdir -p "$inc"
    cp -R "$inc.new/." "$inc/"
    rm -rf "$inc.new"
    # Integer-only printf still names va_arg(ap, double) once, which has no meaning without FP registers.
    compile libc "-D_LIBC -fno-builtin -w -I$src/locale -I$src/tinystdio -Ddouble=long" "$src/tinystdio/vfiprintf.c"
    # shellcheck disable=SC2046,SC2086
    compile libc "-D_LIBC -fno-builtin -I$src/locale -I$src/tinystdio -I$src/string -I$src/ctype" \
        $(printf "$src/string/%s.c\n" $PICOLIBC_STRING) \
        $(printf "$src/tinystdio/%s.c\n" $PICOLIBC_TINYSTDIO | grep -v /vfiprintf) \
        $(printf "$src/ctype/%s.c\n" $PICOLIBC_CTYPE) $(printf "$src/%s.c\n" $PICOLIBC_OTHER)
    archive libc
}

build_libfdt() {
    local src
    src=$(dirname "$(compgen -G "$1/libfdt/fdt.c" || compgen -G "$1/*/libfdt/fdt.c" || echo "$1/fdt.c")")
    mkdir -p "$DEPS/include"
    cp "$src/fdt.h" "$src/libfdt.h" "$src/libfdt_env.h" "$DEPS/include/"
    compile libfdt "-I$src" "$src"/fdt*.c
    archive libfdt
}

build_zlib() {
    local src
    src=$(dirname "$(compgen -G "$1/inflate.c" || compgen -G "$1/*/inflate.c")")
    mkdir -p "$DEPS/include"
    cp "$src/zlib.h" "$DEPS/include/"
    # Whoever includes it must see the structures the library was built with.
    { printf '#ifndef Z_SOLO\n#define Z_SOLO\n#endif\n'; cat "$src/zconf.h"; } >"$DEPS/include/zconf.h"
    # shellcheck disable=SC2046
    compile libz "-DZ_SOLO -I$src" $(printf "$src/%s.c\n" inflate inftrees adler32 crc32 zutil)
    compile libz "-DZ_SOLO -I$src -O2" "$src/inffast.c" # where a compressed kernel spends its time
    archive libz
}

build_fatfs() {
    local src
    src=$(dirname "$(find "$1" -name ff.c | head -n 1)")
    mkdir -p "$DEPS/include" "$OBJ/fatfs"
    # ff.h takes ffconf.h from its own folder: bring the two together.
    cp "$src/ff.c" "$src/ff.h" "$src/ffunicode.c" "$src/diskio.h" "$TOP/kernel/fs/ffconf.h" "$OBJ/fatfs/"
    cp "$src/ff.h" "$src/diskio.h" "$TOP/kernel/fs/ffconf.h" "$DEPS/include/"
    compile libfatfs "" "$OBJ/fatfs/ff.c" "$OBJ/fatfs/ffunicode.c"
    archive libfatfs
}

# compile LIBRARY FLAGS FILE...: objects to OBJ, as many at a time as there are CPUs.
compile() {
    local lib=$1 flags="$LIB_CFLAGS $2"
    shift 2
    mkdir -p "$OBJ/$lib"
    printf '%s\n' "$@" | xargs -P "$(nproc)" -I{} sh -c \
        'f=$1; shift; "$@" -c "$f" -o "'"$OBJ/$lib"'/$(basename "$f" .c).o" || exit 255' \
        - {} "${PREFIX}gcc" $flags
}

# archive LIBRARY: the same bytes each time, whole or absent.
archive() {
    mkdir -p "$DEPS/lib"
    rm -f "$OBJ/$1.a"
    "${PREFIX}ar" rcsD "$OBJ/$1.a" "$OBJ/$1"/*.o
    mv -f "$OBJ/$1.a" "$DEPS/lib/$1.a"
}

# lib_cflags ARCH: sets LIB_CFLAGS; the compiler is ${PREFIX}gcc.
lib_cflags() {
    LIB_CFLAGS="${ARCH_CFLAGS[$1]} -ffile-prefix-map=$CACHE=/lodge -ffile-prefix-map=$TOP=/lodge"
    [ "$1" = host ] && return 0
    LIB_CFLAGS+=" -nostdinc -isystem $CACHE/deps/$1/include -isystem $("${PREFIX}gcc" -print-file-name=include)"
}

# lib_hash ARCH LIBRARY, after cross_prefix and lib_cflags.
lib_hash() {
    local extra="" libc=""
    case $2 in
        picolibc) extra="$(cat "$SETUP_D/picolibc.h") $PICOLIBC_STRING $PICOLIBC_TINYSTDIO $PICOLIBC_CTYPE
            $PICOLIBC_OTHER" ;;
        fatfs) extra=$(cat "$TOP/kernel/fs/ffconf.h") ;;
    esac
    [ "$1" = host ] || [ "$2" = picolibc ] || libc=$PICOLIBC_HASH
    hash_of "$(declare -f "build_$2" compile archive)" "$LIB_CFLAGS" "$COMPILER" "$(source_id "$2")" "$extra" "$libc"
}

# libs_hashes ARCH: sets LIB_HASH[name] and READY_HASH; status 1 if the compiler or a source is missing.
declare -A LIB_HASH
libs_hashes() {
    local lib status=0
    LIB_HASH=()
    cross_prefix "$1" || return 1
    COMPILER=$("${PREFIX}gcc" -dumpmachine -dumpfullversion)
    lib_cflags "$1"
    READY_HASH=""
    PICOLIBC_HASH=""
    for lib in ${LIBRARIES[$1]}; do
        [ "$(source_id "$lib")" != missing ] || status=1
        LIB_HASH[$lib]=$(lib_hash "$1" "$lib")
        [ "$lib" = picolibc ] && PICOLIBC_HASH=${LIB_HASH[picolibc]}
        READY_HASH+=${LIB_HASH[$lib]}
    done
    READY_HASH=$(hash_of "$READY_HASH")
    return $status
}

libs_done() {
    libs_hashes "$1" && stamp_is "$CACHE/deps/$1/.ready" "$READY_HASH"
}

lib_build() {
    local arch=$1 lib=$2
    libs_hashes "$arch" || true                    # a later library's source may still be missing
    DEPS="$CACHE/deps/$arch"
    OBJ="$CACHE/deps/$arch/obj-$lib"
    stamp_is "$CACHE/stamps/lib-$arch-$lib" "${LIB_HASH[$lib]}" && return 0
    rm -rf "$OBJ"
    mkdir -p "$OBJ"
    "build_$lib" "$(source_folder "$lib")"
    rm -rf "$OBJ"
    stamp_write "$CACHE/stamps/lib-$arch-$lib" "${LIB_HASH[$lib]}"
}

libs_finish() {
    libs_hashes "$1"
    stamp_write "$CACHE/deps/$1/.ready" "$READY_HASH"
}

libs_plan() {
    local lib
    libs_done "$1" && return 0
    for lib in ${LIBRARIES[$1]}; do
        source_plan "$lib"
        lib_current "$1" "$lib" || step_add must "$lib for $1" lib_build "$1" "$lib"
    done
    step_add must "libraries for $1 complete" libs_finish "$1"
}

# lib_current ARCH LIBRARY: is this one (not yet all of them) built?
lib_current() {
    [ "$(source_id "$2")" != missing ] && { libs_hashes "$1" || true; } &&
        stamp_is "$CACHE/stamps/lib-$1-$2" "${LIB_HASH[$2]:-no compiler}" &&
        [ -e "$CACHE/deps/$1/lib" ]
}

# ---- Sources ----------------------------------------------------------------------------------

# source_folder NAME: the user's own folder, or the unpacked one in the cache.
source_folder() {
    local variable
    read -r _ _ _ variable <<<"${SOURCES[$1]}"
    echo "${!variable:-$CACHE/src/$1}"
}

# source_id NAME: what a recipe's hash takes for the source: archive name, or the user's folder.
source_id() {
    local folder patterns
    folder=$(source_folder "$1")
    read -r _ _ patterns _ <<<"${SOURCES[$1]}"
    if [ "$folder" != "$CACHE/src/$1" ]; then
        echo "$folder"
    elif unpacked "$folder" "$patterns"; then
        cat "$folder/.from"
    else
        echo missing
    fi
}

source_get() {
    local kind package patterns
    read -r kind package patterns _ <<<"${SOURCES[$1]}"
    case $kind in
        orig) fetch_orig "$package" ;;
        deb) fetch_deb "$package" "$SOURCE_DEB_ARCH" ;;
    esac
    unpack "$FETCHED" "$CACHE/src/$1" "$patterns"
}

source_plan() {
    [ "$(source_id "$1")" = missing ] || return 0
    [[ " $SOURCES_PLANNED " != *" $1 "* ]] || return 0
    SOURCES_PLANNED+=" $1"
    step_add must "source of $1" source_get "$1"
}
SOURCES_PLANNED=""
