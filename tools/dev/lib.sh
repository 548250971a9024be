# shellcheck shell=sh disable=SC2016 # what is in single quotes is for another shell
# SPDX-License-Identifier: Apache-2.0
# What every ./dev command shares: saying, failing, becoming somebody, waiting.
# Reads TOP (the checkout), STATE (TOP/.dev), ME (who runs this).

step() {
    printf '==> %s\n' "$*"
}

say() {
    printf '    %s\n' "$*"
}

# fail WHAT [WHAT TO DO...]
fail() {
    printf '!!! %s\n' "$1" >&2
    shift
    for line in "$@"; do
        printf '    %s\n' "$line" >&2
    done
    exit 1
}

# fail_log LOG WHAT [WHAT TO DO...]: the same, with the end of a log first.
fail_log() {
    log=$1
    shift
    if [ -s "$log" ]; then
        printf '%s\n' "--- the end of ${log#"$TOP"/}" >&2
        # Without ninja's lines of progress, the words that matter are there.
        grep -vE '^\[[0-9]+/[0-9]+\] ' "$log" | tail -n 40 >&2 || :
        printf '%s\n' '---' >&2
    fi
    fail "$@" "the whole log: $log"
}

# logged NAME HINT COMMAND...: output goes to .dev/log/NAME.log and is shown only on failure.
logged() {
    logged_to=$STATE/log/$1.log hint=$2
    shift 2
    "$@" </dev/null >"$logged_to" 2>&1 9>&- ||
        fail_log "$logged_to" "failed: $*" "$hint"
}

# .dev itself; whoever made it owns all of it, so root and a user do not mix in one checkout.
state_make() {
    mkdir -p "$STATE" 2>/dev/null || :
    owner=$(stat -c %U "$STATE" 2>/dev/null) || fail "cannot make $STATE" "is $TOP yours to write in?"
    [ "$owner" = "$ME" ] ||
        fail "$STATE belongs to $owner, and you are $ME" "run ./dev as $owner, or in a clone of your own"
    mkdir -p "$STATE/log" "$STATE/run"
}

# One ./dev at a time per purpose; the lock (fd 9) goes with this process.
lock_take() {
    exec 9>"$STATE/run/$1.lock"
    flock -n 9 || fail "another ./dev is at work on the $1 of this checkout" "wait for it to end, then try again"
}

lock_wait() {
    exec 9>"$STATE/run/$1.lock"
    flock -w 120 9 || fail "another ./dev has been at work on the $1 for two minutes"
}

lock_drop() {
    exec 9>&-
}

sudo_ready() {
    command -v sudo >/dev/null || fail "this needs root, and there is no sudo here" "run ./dev as root, or install sudo"
    sudo -n true 2>/dev/null && return
    [ -t 0 ] || fail "sudo asks for a password and there is no terminal to ask on" "run 'sudo -v' first, or ./dev as root"
    sudo -v || fail "sudo refused" "ask for the right to use it, or run ./dev as root"
}

as_root() {
    if [ "$ME" = root ]; then
        "$@"
    else
        sudo_ready
        sudo -n -- "$@"
    fi
}

# A checkout below a folder closed to others (such as /root): the users we start
# programs as could not even reach their binaries. Root may lend them the one
# capability to look through closed folders; an open checkout never needs it.
checkout_is_closed() {
    [ "$ME" = root ] && id -u "$1" >/dev/null 2>&1 &&
        ! setpriv --reuid="$1" --regid="$1" --init-groups \
            sh -c 'test -x "$1/.dev/run" && test -r "$1/CMakeLists.txt"' sh "$TOP" 2>/dev/null
}

# run_as USER COMMAND...: as root, gives up everything root has; otherwise USER is us, or root.
run_as() {
    as=$1
    shift
    if [ "$as" = "$ME" ]; then
        "$@"
    elif [ "$as" = root ]; then
        as_root "$@"
    elif checkout_is_closed "$as"; then
        # no_setuid_fixup because access(2) otherwise ignores what others than root were lent.
        setpriv --reuid="$as" --regid="$as" --init-groups --no-new-privs --securebits=+no_setuid_fixup \
            --inh-caps=-all,+dac_read_search --ambient-caps=-all,+dac_read_search \
            --bounding-set=-all,+dac_read_search "$@"
    else
        setpriv --reuid="$as" --regid="$as" --init-groups --no-new-privs --inh-caps=-all \
            --bounding-set=-all "$@"
    fi
}

# Says once how a closed checkout is served, or why it cannot be.
closed_checkout_explain() {
    checkout_is_closed "$1" || return 0
    run_as "$1" test -r "$TOP/CMakeLists.txt" 2>/dev/null ||
        fail "user $1 cannot enter $TOP, and this machine does not let root lend the capability for it" \
            "move the checkout to a folder open to others (such as /srv), or open the way: chmod o+x on each folder above it"
    say "$TOP lies below a closed folder: $1 gets the capability dac_read_search to reach it"
}

# The command behind launch: prints the pid only when the program has a session of
# its own (a sudo with a pty hangs up whoever is left in its session), its output on our stderr.
LAUNCH='cd / && pid=$(setsid sh -c '\''echo "$$"; exec "$@" >&2'\'' sh "$@" </dev/null 9>&- &); echo "$pid"'

# launch USER ROLE COMMAND...: in the background; log in .dev/log, pid in .dev/run.
launch() {
    launch_user=$1 launch_role=$2
    shift 2
    log=$STATE/log/$launch_role.log
    [ ! -f "$log" ] || mv -f "$log" "$log.1"
    run_as "$launch_user" env -i PATH="$PATH" LANG=C.UTF-8 sh -c "$LAUNCH" sh "$@" \
        2>"$log" >"$STATE/run/$launch_role.pid" ||
        fail_log "$log" "could not start $launch_role"
}

# role_pid ROLE MARK: prints the pid if that process lives and its command line has
# MARK (an absolute path below this checkout), so that a pid used again is never ours.
role_pid() {
    [ -s "$STATE/run/$1.pid" ] || return 1
    read -r noted <"$STATE/run/$1.pid" || return 1
    case $noted in '' | *[!0-9]*) return 1 ;; esac
    { tr '\0' ' ' <"/proc/$noted/cmdline"; } 2>/dev/null | grep -qF -- "$2" || return 1
    echo "$noted"
}

# stop_role ROLE MARK SIGNAL SECONDS: asks, waits, insists.
stop_role() {
    pid=$(role_pid "$1" "$2") || {
        rm -f "$STATE/run/$1.pid"
        return 0
    }
    say "stopping $1 ($pid)"
    kill -s "$3" "$pid" 2>/dev/null || as_root kill -s "$3" "$pid" || :
    if ! wait_until "$4" role_gone "$1" "$2"; then
        say "$1 did not stop in $4 s: killed"
        kill -s KILL "$pid" 2>/dev/null || as_root kill -s KILL "$pid" || :
        wait_until 10 role_gone "$1" "$2" || fail "$1 ($pid) cannot be killed" "look at: ps -o stat,wchan,cmd $pid"
    fi
    rm -f "$STATE/run/$1.pid"
}

role_gone() {
    ! role_pid "$1" "$2" >/dev/null
}

# What git sees as changed; the same before and after a command means it left no litter.
git_state() {
    git -c safe.directory="$TOP" -C "$TOP" status --porcelain=v1
}

# git_files PATTERN...: ours, whether committed yet or not, that still exist.
git_files() {
    git -c safe.directory="$TOP" -C "$TOP" ls-files --cached --others --exclude-standard --deduplicate -- "$@" |
        while IFS= read -r file; do
            [ ! -f "$TOP/$file" ] || printf '%s\n' "$file"
        done
}

# wait_until SECONDS COMMAND...: polls ten times a second until it holds.
wait_until() {
    tries=$(($1 * 10))
    shift
    while ! "$@"; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || return 1
        sleep 0.1
    done
}
