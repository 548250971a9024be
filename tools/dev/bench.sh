# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# ./dev bench: figures of the optimised build, each against something measured in the same run.
# A bench is build/release/bin/bench_<what> (C) or tests/bench/<what>.sh|.py; it is told of a
# PostgreSQL of its own (durable, as in ./dev up) the way the tests are.

dev_bench() {
    [ $# -le 1 ] || usage_fail "bench takes one name"
    wanted=${1:-}
    prepare
    lock_take bench
    users_make
    build release
    trap 'cluster_remove bench-pg' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    cluster_remove bench-pg
    cluster_up bench-pg
    BUILD=$TOP/build/release
    test_environment ''
    unset ASAN_OPTIONS UBSAN_OPTIONS
    ran=0 broken=''
    for bench in "$BUILD"/bin/bench_* "$TOP"/tests/bench/*.sh "$TOP"/tests/bench/*.py; do
        [ -f "$bench" ] || continue
        name=${bench##*/}
        name=${name%.*}
        bench_is "$name" "$wanted" || continue
        ran=$((ran + 1))
        step "$name"
        case $bench in
            *.sh) sh "$bench" ;;
            *.py) "$PYTHON" "$bench" ;;
            *) "$bench" ;;
        esac </dev/null 9>&- || broken="$broken $name"
    done
    [ "$ran" -gt 0 ] || fail "no bench${wanted:+ is called $wanted}" "there are: $(bench_names)"
    [ -z "$broken" ] || fail "failed:$broken"
}

# bench_is NAME WANTED: by its name, without bench_, or by any of its words; all where nothing is wanted.
bench_is() {
    case _${1}_ in
        *"_${2}_"*) return 0 ;;
    esac
    [ -z "$2" ]
}

bench_names() {
    for bench in "$BUILD"/bin/bench_* "$TOP"/tests/bench/*.sh "$TOP"/tests/bench/*.py; do
        [ ! -f "$bench" ] || printf '%s ' "${bench##*/}"
    done
}
