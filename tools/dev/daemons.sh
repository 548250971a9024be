# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# Building, and the three daemons: started in order, watched until ready, stopped in order.

ORIGIN=sallyport.local/dev

# build PRESET [TARGET...]
build() {
    preset=$1
    shift
    step "building ($preset)"
    cd "$TOP"
    logged "configure-$preset" "is CMakeLists.txt sound, and docker/packages.txt installed?" cmake --preset "$preset"
    logged "build-$preset" "mend what the compiler says" cmake --build --preset "$preset" ${1:+--target "$@"}
}

ports_choose() {
    port=${SALLYPORT_PORT:-}
    [ -n "$port" ] || port=$(cat "$STATE/port" 2>/dev/null) || port=8080
    case $port in
        '' | 0* | *[!0-9]*) fail "SALLYPORT_PORT is '$port'" "give a number, such as SALLYPORT_PORT=9080" ;;
    esac
    if [ "$port" -lt 1 ] || [ "$port" -gt 65532 ]; then
        fail "SALLYPORT_PORT is $port" "give one from 1 to 65532"
    fi
    echo "$port" >"$STATE/port"
    URL=http://127.0.0.1:$port
}

ops_port() {
    case $1 in
        api) echo $((port + 1)) ;;
        worker) echo $((port + 2)) ;;
        ledger) echo $((port + 3)) ;;
    esac
}

# Secrets and folders of the daemons; made once, never replaced.
daemon_state_make() {
    if [ ! -s "$STATE/master.key" ]; then
        step "making the master key: .dev/master.key"
        (umask 077 && openssl rand -hex 32 >"$STATE/master.key.new") || fail "openssl gave no random bytes"
        mv "$STATE/master.key.new" "$STATE/master.key"
    fi
    [ -d "$STATE/ledger" ] || mkdir -m 700 "$STATE/ledger"
    [ -d "$STATE/worker" ] || as_root mkdir -m 700 "$STATE/worker"
    [ "$DAEMON_USER" = "$ME" ] || chown "$DAEMON_USER:" "$STATE/master.key" "$STATE/ledger"
    # A daemon takes a secret only from a file of its own user, and the worker is root.
    as_root install -m 600 -o root -g root "$STATE/master.key" "$STATE/worker.key"
}

database_make() {
    if [ -z "$(cluster_sql postgres "SELECT 1 FROM pg_database WHERE datname = 'sallyport'")" ]; then
        step "making the database sallyport"
        cluster_sql postgres "CREATE DATABASE sallyport" || fail "could not make the database"
    fi
}

migrate() {
    step "applying migrations"
    logged migrate "a released migration never changes: if you edited one while developing it, ./dev down and remove .dev" \
        "$BIN/sallyportd" migrate --database "$(cluster_conninfo postgres sallyport)" --migrations "$TOP/migrations"
}

daemons_start() {
    daemon_start ledger "$DAEMON_USER" --database "$(cluster_conninfo sallyport_ledger sallyport)" \
        --state-dir "$STATE/ledger" --ledger-key "$STATE/ledger/key" --ledger-vkey "$STATE/ledger/vkey" \
        --ledger-origin "$ORIGIN"
    cp "$STATE/ledger/vkey" "$STATE/ledger.vkey"
    daemon_start api "$DAEMON_USER" --database "$(cluster_conninfo sallyport_api sallyport)" \
        --listen "127.0.0.1:$port" --master-key "$STATE/master.key" --openapi "$TOP/openapi/sallyport.yaml"
    daemon_start worker root --database "$(cluster_conninfo sallyport_worker sallyport)" \
        --state-dir "$STATE/worker" --master-key "$STATE/worker.key" --apparmor "$(apparmor_setting)" \
        --cgroup-parent "$(cgroup_parent)" --drain-seconds 10
}

# One a checkout, so that down can tell which cgroups are ours and take them away.
cgroup_parent() {
    echo "sallyport-dev-$(printf '%s' "$TOP" | cksum | cut -d ' ' -f 1)"
}

apparmor_setting() {
    if grep -qsx Y /sys/module/apparmor/parameters/enabled; then
        echo required
    else
        echo if_available
    fi
}

# daemon_start ROLE USER FLAGS...: leaves one alone that runs the same program with the same flags.
daemon_start() {
    role=$1 user=$2
    shift 2
    set -- "$@" --node dev --ops-listen "127.0.0.1:$(ops_port "$role")"
    stamp=$({ printf '%s\n' "$@" && stat -c '%i %Y' "$BIN/sallyportd"; } | cksum)
    if role_pid "$role" "$BIN/sallyportd $role" >/dev/null; then
        [ "$stamp" != "$(cat "$STATE/run/$role.stamp" 2>/dev/null)" ] || return 0
        step "restarting $role: it was built or set anew"
        daemon_stop "$role"
    else
        step "starting $role (as $user)"
    fi
    ports_free "$role"
    # Only an empty log may be begun; after that a missing key or checkpoint is a loss to be looked at.
    if [ "$role" = ledger ] && [ ! -e "$STATE/ledger/vkey" ]; then
        say "a new ledger: $ORIGIN"
        set -- "$@" --ledger-init
    fi
    [ "$role" != worker ] || [ "$(apparmor_setting)" = required ] ||
        say "this kernel has no AppArmor: sandboxes run without its profile, and each event says so"
    launch "$user" "$role" "$BIN/sallyportd" "$role" "$@"
    wait_until 30 daemon_answers "$role" ||
        fail_log "$STATE/log/$role.log" "$role is not ready after 30 s"
    role_pid "$role" "$BIN/sallyportd $role" >/dev/null ||
        fail_log "$STATE/log/$role.log" "$role ended at once" "the log says why; mend it and run this again"
    echo "$stamp" >"$STATE/run/$role.stamp"
}

# Also true when the daemon is gone: no use in waiting for it then.
daemon_answers() {
    role_gone "$1" "$BIN/sallyportd $1" ||
        curl --silent --fail --max-time 5 --output /dev/null "http://127.0.0.1:$(ops_port "$1")/readyz"
}

ports_free() {
    ports=$(ops_port "$1")
    [ "$1" != api ] || ports="$port $ports"
    for wanted in $ports; do
        code=0
        curl --silent --max-time 2 --output /dev/null "http://127.0.0.1:$wanted/" || code=$?
        [ "$code" = 7 ] || fail "port $wanted, for $1, is taken by another program" \
            "stop that, or choose others (this and the three after it): SALLYPORT_PORT=9080 ./dev up"
    done
}

daemon_stop() {
    stop_role "$1" "$BIN/sallyportd $1" TERM 30
    rm -f "$STATE/run/$1.stamp"
}

# New work stops coming first, then what runs is brought to an end, then the ledger has it all.
gateway_stop() {
    daemon_stop api
    daemon_stop worker
    daemon_stop ledger
    sandboxes_stop
    cluster_down pg
}

# A worker that was killed leaves sandboxes behind. runsc's processes name its state folder.
sandboxes_stop() {
    for folder in /proc/[0-9]*; do
        sandbox=${folder#/proc/}
        line=$({ tr '\0' ' ' <"$folder/cmdline"; } 2>/dev/null) || continue
        program=${line%% *}
        case ${program##*/}:$line in
            runsc*:*"$STATE/worker/"*)
                say "killing a sandbox left behind ($sandbox)"
                as_root kill -s KILL "$sandbox" || :
                ;;
        esac
    done
    # /proc/mounts writes a space as \040.
    awk -v under="$STATE/worker/" '{ gsub(/\\040/, " ", $2); if (index($2, under) == 1) print $2 }' /proc/mounts |
        sort -r | while IFS= read -r mount; do
        say "unmounting $mount"
        as_root umount "$mount" || :
    done
    find /sys/fs/cgroup -mindepth 1 -maxdepth 4 -depth -type d -path "*/$(cgroup_parent)*" 2>/dev/null |
        while IFS= read -r group; do
            as_root rmdir "$group" 2>/dev/null || :
        done
}

gateway_dead_role() {
    for role in ledger api worker; do
        ! role_gone "$role" "$BIN/sallyportd $role" || {
            echo "$role"
            return 0
        }
    done
    return 1
}

# Stays in front until Ctrl-C (exit 130), ./dev down in another terminal (0), or the end of a daemon (1).
gateway_follow() {
    step "the logs; Ctrl-C stops everything"
    tail -n 0 -F "$STATE/log/ledger.log" "$STATE/log/api.log" "$STATE/log/worker.log" 2>/dev/null 9>&- &
    tail_pid=$!
    trap 'gateway_unfollow' INT TERM HUP
    lock_drop
    while dead=; ! dead=$(gateway_dead_role); do
        sleep 1
    done
    trap '' INT TERM HUP
    kill "$tail_pid" 2>/dev/null || :
    lock_wait gateway
    [ -e "$STATE/run/$dead.pid" ] || exit 0
    gateway_stop
    fail_log "$STATE/log/$dead.log" "$dead ended by itself; all the others were stopped too"
}

gateway_unfollow() {
    trap '' INT TERM HUP
    kill "$tail_pid" 2>/dev/null || :
    lock_wait gateway
    gateway_interrupted
}

gateway_interrupted() {
    trap '' INT TERM HUP
    echo
    step "interrupted: stopping the gateway"
    gateway_stop
    exit 130
}
