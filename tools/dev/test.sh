# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# ./dev test: everything under ASan and UBSan, against a throwaway PostgreSQL and the real runsc.

BUILD=$TOP/build/dev

dev_test() {
    full='' filter=''
    for word in "$@"; do
        case $word in
            --full) full=1 ;;
            -*) usage_fail "test does not know '$word'" ;;
            *)
                [ -z "$filter" ] || usage_fail "test takes one filter"
                filter=$word
                ;;
        esac
    done
    [ -z "$full" ] || PACKAGES_MORE=$TOP/docker/packages-full.txt
    prepare
    lock_take test
    users_make
    before=$(git_state)
    build dev
    results=$STATE/results
    rm -rf "$results"
    mkdir "$results"
    trap 'cluster_remove test-pg' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    cluster_remove test-pg
    cluster_up test-pg
    test_environment "$full"
    failed=
    tier unit "$(nproc)" || failed=yes
    tier pg 1 || failed=yes
    tier sandbox 1 || failed=yes
    scenarios || failed=yes
    cluster_remove test-pg
    trap - EXIT
    if [ "$(git_state)" != "$before" ]; then
        failed=yes
        printf '%s\n' "!!! the tests left litter behind: git status" >&2
    fi
    [ -z "$failed" ] || say "the whole output is in .dev/log/test-*.log"
    # Its last line is the sum, its exit code says whether that is a success.
    "$PYTHON" "$TOP/tools/test-summary" ${filter:+--filter "$filter"} "$results" && [ -z "$failed" ]
}

# What the tests are told. SALLYPORT_SUDO is what to put before a command that must be root.
test_environment() {
    SALLYPORT_TEST_DATABASE=$(cluster_conninfo postgres postgres)
    SALLYPORT_TEST_PG_SUPERUSER=$SALLYPORT_TEST_DATABASE
    SALLYPORT_BUILD=$BUILD
    SALLYPORT_SUDO=
    [ "$ME" = root ] || SALLYPORT_SUDO="sudo -n"
    ASAN_OPTIONS=halt_on_error=1:detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1:check_initialization_order=1
    UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
    export SALLYPORT_TEST_DATABASE SALLYPORT_TEST_PG_SUPERUSER SALLYPORT_BUILD SALLYPORT_SUDO ASAN_OPTIONS UBSAN_OPTIONS
    unset SALLYPORT_TEST_FULL
    [ -z "$1" ] || export SALLYPORT_TEST_FULL=1
}

# tier LABEL JOBS: the ctest programs of one label. The sandbox needs root, the others do not.
tier() {
    step "$1 tests"
    set -- "$1" "$2" ctest --test-dir "$BUILD" --label-regex "^$1\$" --parallel "$2" --no-tests=ignore \
        --output-on-failure --output-junit "$results/$1.xml" \
        --test-output-size-passed 1000000 --test-output-size-failed 1000000
    [ -z "$filter" ] || set -- "$@" --tests-regex "$(printf '%s' "$filter" | sed 's/[][\.*^$+?(){}|]/\\&/g')"
    label=$1
    shift 2
    if [ "$label" = sandbox ] && [ "$ME" != root ]; then
        sudo_ready
        set -- sudo -n env PATH="$PATH" LC_ALL="$LC_ALL" ASAN_OPTIONS="$ASAN_OPTIONS" UBSAN_OPTIONS="$UBSAN_OPTIONS" \
            SALLYPORT_TEST_DATABASE="$SALLYPORT_TEST_DATABASE" SALLYPORT_BUILD="$BUILD" \
            ${SALLYPORT_TEST_FULL:+SALLYPORT_TEST_FULL=1} "$@"
    fi
    shown "test-$label" "$@"
}

scenarios() {
    [ -e "$TOP/tests/system/run" ] || {
        printf '%s\n' "!!! there is no tests/system/run" >&2
        return 1
    }
    step "scenarios on the whole daemon"
    shown test-system "$PYTHON" "$TOP/tests/system/run" ${filter:+"$filter"}
}

# shown NAME COMMAND...: output to the terminal and to .dev/log/NAME.log; the command's own exit code.
shown() {
    shown_to=$STATE/log/$1.log
    shift
    {
        code=0
        "$@" 2>&1 </dev/null 9>&- || code=$?
        echo "$code" >"$results/code"
    } | tee "$shown_to"
    [ "$ME" = root ] || as_root chown -R "$ME:" "$BUILD/Testing" "$results"
    return "$(cat "$results/code")"
}

# A throwaway cluster: stopped and gone, whatever state an earlier run left it in.
cluster_remove() {
    cluster_down "$1"
    rm -rf "${STATE:?}/$1" "$STATE/$1.new"
}
