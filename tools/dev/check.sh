# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# ./dev check: all that can be said about the tree without running it. Goes on after a
# failure, so that one run names everything there is to mend.

dev_check() {
    tidy=''
    case ${1:-} in
        --full) tidy=--all ;;
        '') ;;
        *) usage_fail "check does not know '$1'" ;;
    esac
    prepare
    lock_take check
    before=$(git_state)
    cd "$TOP"
    broken=''
    check "format" check_format
    check "shell scripts" check_shell
    check "the checks themselves" "$PYTHON" tools/check-selftest
    check "licence lines" tools/check-spdx
    check "layers" "$PYTHON" tools/check-layers
    check "banned calls" "$PYTHON" tools/check-banned
    check "AppArmor profile" check_apparmor
    check "routes and contract" "$PYTHON" tools/check-routes
    check "problem codes" "$PYTHON" tools/check-codes
    check "settings and manual" "$PYTHON" tools/check-settings
    check "warnings, gcc" check_build release
    check "warnings, clang" check_build clang
    check "clang-tidy" "$PYTHON" tools/check-tidy --build build/clang --cache "$STATE/tidy" $tidy
    [ "$(git_state)" = "$before" ] || {
        printf '%s\n' "!!! litter: git status is not what it was before" >&2
        broken="$broken litter"
    }
    [ -z "$broken" ] || fail "not in order:$broken"
    step "all in order"
}

# check WHAT COMMAND...
check() {
    step "check: $1"
    what=$1
    shift
    if ! "$@" </dev/null >"$STATE/log/check.log" 2>&1 9>&-; then
        tail -n 60 "$STATE/log/check.log" >&2
        broken="$broken
      $what"
    fi
}

check_format() {
    git_files '*.c' '*.h' | xargs -r -d '\n' clang-format --dry-run -Werror
}

# Every script for sh; those that ./dev sources are read as part of it.
check_shell() {
    git_files | xargs -r -d '\n' grep -lx -m 1 -e '#!/bin/sh' | xargs -r -d '\n' shellcheck --external-sources
}

# Compiled as the loader would; no kernel is asked. Its name is the one the worker sets, and what it
# lets the runtime execute is what a worker does.
check_apparmor() {
    copy=$(sed -n 's/^#define RUNTIME_NAME "\(.*\)"$/\1/p' sandbox/runtime.h)
    [ -n "$copy" ] && grep -qx "  /$copy mrix," sandbox/apparmor/sallyport-runsc || return 1
    names=$(apparmor_parser --skip-kernel-load --skip-cache --names sandbox/apparmor/sallyport-runsc) &&
        apparmor_parser --skip-kernel-load --skip-cache sandbox/apparmor/sallyport-runsc &&
        [ "$names" = sallyport-runsc ] && grep -q "\.apparmor_profile = \"$names\"" sandbox/sandbox.c
}

check_build() {
    cmake --preset "$1" && cmake --build --preset "$1" -- -k 0
}
