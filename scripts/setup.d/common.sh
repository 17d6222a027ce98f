# SPDX-License-Identifier: Apache-2.0
# Small helpers of scripts/setup: messages, hashes, stamps, the list of steps.
# shellcheck shell=bash

die() {
    printf 'setup: %s\n' "$*" >&2
    exit 1
}

# hash_of TEXT...: a short hash of the arguments. Files are hashed by passing "$(cat file)".
hash_of() {
    printf '%s\n' "$@" | sha256sum | cut -c1-16
}

# stamp_is FILE HASH: does FILE record exactly this HASH?
stamp_is() {
    local had=""
    [ -r "$1" ] && read -r had <"$1"
    [ "$had" = "$2" ]
}

# stamp_write FILE HASH: written under another name first, so a stamp is whole or absent.
stamp_write() {
    mkdir -p "${1%/*}"
    printf '%s\n' "$2" >"$1.new"
    mv -f "$1.new" "$1"
}

# as_root COMMAND...: as root, or through sudo.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

can_be_root() {
    [ "$(id -u)" = 0 ] && return 0
    command -v sudo >/dev/null || return 1
    sudo -n true 2>/dev/null || [ -t 0 ]      # with a terminal sudo can ask
}

# ---- Steps ------------------------------------------------------------------------------------
# A step is what to say, how bad its failure is, and a command. They are listed first and run afterwards,
# so that each can say "[3/9]".

STEP_TEXT=()
STEP_KIND=()                  # must, or guest:ARCH
STEP_COMMAND=()

step_add() {
    STEP_KIND+=("$1")
    STEP_TEXT+=("$2")
    shift 2
    STEP_COMMAND+=("$*")
}

# step_run NUMBER: the output goes to a log, whose end is shown if the step fails. Sets STEP_OK rather than
# returning a status: called in a condition, "set -e" would be off inside the step.
step_run() {
    local i=$1 status start=$SECONDS
    local log="$CACHE/log/step-$((i + 1)).log"
    printf '[%d/%d] %s …' "$((i + 1))" "${#STEP_TEXT[@]}" "${STEP_TEXT[i]}"
    set +e
    # shellcheck disable=SC2086
    (set -e; ${STEP_COMMAND[i]}) >"$log" 2>&1
    status=$?
    set -e
    STEP_OK=yes
    if [ $status = 0 ]; then
        printf ' done (%d s)\n' "$((SECONDS - start))"
        return
    fi
    STEP_OK=no
    printf ' FAILED\n'
    tail -n 25 "$log" | sed 's/^/    /' >&2
    printf '    (all of it: %s)\n' "$log" >&2
}

steps_run() {
    local i failed=""
    mkdir -p "$CACHE/log"
    for i in "${!STEP_TEXT[@]}"; do
        [[ " $failed " != *" ${STEP_KIND[i]} "* ]] || continue
        step_run "$i"
        [ $STEP_OK = no ] || continue
        if [ "${STEP_KIND[i]}" = must ] || [ "$ALLOW_MISSING_GUESTS" = no ]; then
            die "stopped at: ${STEP_TEXT[i]}. Run it again to go on from there."
        fi
        failed+=" ${STEP_KIND[i]}"
    done
    [ -z "$failed" ] ||
        printf 'setup: WARNING: Debian guest missing (%s); configurations without it still run.\n' "${failed# }" >&2
}
