# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# ./dev fuzz: each target for a while, as many at once as there are processors; what they learn stays
# in .dev/fuzz.

dev_fuzz() {
    seconds=${1:-30} filter=${2:-}
    [ $# -le 2 ] || usage_fail "fuzz takes a number of seconds and one filter"
    case $seconds in
        *[!0-9]* | 0*) usage_fail "fuzz takes a number of seconds, not '$seconds'" ;;
    esac
    prepare
    lock_take fuzz
    build fuzz
    targets=$(find "$TOP/build/fuzz/bin" -name "fuzz_*$filter*" -type f -perm -u+x | sort)
    [ -n "$targets" ] || fail "no fuzz target${filter:+ is called $filter}"
    count=$(printf '%s\n' "$targets" | wc -l)
    step "$count fuzz targets, $seconds s each, $(nproc) at once"
    printf '%s\n' "$targets" | xargs -P "$(nproc)" -I '{}' \
        "$TOP/tools/dev/fuzz-target" '{}' "$seconds" "$STATE/fuzz" "$STATE/log" 9>&- || fail "a target failed"
    step "$count targets, nothing found"
}
