# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# ./dev fuzz: each target for a while, over a copy of its seeds; what it learns stays in .dev/fuzz.

dev_fuzz() {
    seconds=${1:-30}
    case $seconds in
        *[!0-9]* | 0*) usage_fail "fuzz takes a number of seconds, not '$seconds'" ;;
    esac
    prepare
    lock_take fuzz
    build fuzz
    crashed='' ran=0
    for target in "$TOP"/build/fuzz/bin/fuzz_*; do
        [ -x "$target" ] || continue
        ran=$((ran + 1))
        fuzz_target "$target" "$seconds" || crashed="$crashed ${target##*/}"
    done
    [ "$ran" -gt 0 ] || fail "there is no fuzz target in tests/fuzz"
    [ -z "$crashed" ] || fail "crashed:$crashed" "keep the input in tests/fuzz/corpus once it is mended, and write a test of it"
    step "$ran targets, nothing found"
}

# fuzz_<folder>_<what> has its seeds in tests/fuzz/corpus/<what>.
fuzz_target() {
    name=${1##*/}
    what=${name#fuzz_*_}
    scratch=$STATE/fuzz/$name
    log=$STATE/log/$name.log
    mkdir -p "$scratch/corpus"
    rm -f "$scratch"/crash-* "$scratch"/leak-* "$scratch"/timeout-* "$scratch"/oom-*
    [ ! -d "$TOP/tests/fuzz/corpus/$what" ] || cp -R "$TOP/tests/fuzz/corpus/$what/." "$scratch/corpus/"
    step "$name, $2 s"
    if (cd "$scratch" && exec "$1" -max_total_time="$2" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="$scratch/" corpus) </dev/null >"$log" 2>&1 9>&-; then
        say "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs tried"
        return 0
    fi
    tail -n 40 "$log" >&2
    for input in "$scratch"/crash-* "$scratch"/leak-* "$scratch"/timeout-* "$scratch"/oom-*; do
        [ ! -e "$input" ] || printf '%s\n' "!!! the input is in $input: run $1 $input" >&2
    done
    return 1
}
