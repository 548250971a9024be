# shellcheck shell=sh disable=SC2016 # what is in single quotes is for another shell
# SPDX-License-Identifier: Apache-2.0
# Private PostgreSQL clusters below .dev: one that lasts (pg), throwaway ones for tests and
# benches. Unix socket only; who may be which database role follows from who they are here.

PG_BIN=/usr/lib/postgresql/15/bin
PG_PORT=5432
API_USER=sallyport

# The operating-system users: PostgreSQL refuses to run as root, and the api needs nothing
# of what root has. An ordinary user is everybody but the worker, which must be root.
users_choose() {
    if [ "$ME" = root ]; then
        PG_USER=postgres DAEMON_USER=$API_USER
    else
        PG_USER=$ME DAEMON_USER=$ME
    fi
}

users_make() {
    [ "$ME" = root ] || return 0
    if ! id -u "$API_USER" >/dev/null 2>&1; then
        step "making the system user $API_USER, for api and ledger"
        useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin "$API_USER" ||
            fail "could not make the user $API_USER" "make it by hand: useradd --system --user-group $API_USER"
    fi
    closed_checkout_explain "$PG_USER"
    closed_checkout_explain "$API_USER"
}

# cluster_up NAME: makes it if need be, starts it if need be; sets CLUSTER_HOST.
cluster_up() {
    cluster_dir=$STATE/$1
    [ -x "$PG_BIN/initdb" ] || fail "no PostgreSQL 15 in $PG_BIN" "install postgresql-15"
    [ -s "$cluster_dir/PG_VERSION" ] || cluster_make "$1"
    grep -qx 15 "$cluster_dir/PG_VERSION" ||
        fail "$cluster_dir was made by PostgreSQL $(cat "$cluster_dir/PG_VERSION"), this needs 15" \
            "keep what you need of it, then remove $cluster_dir and run this again"
    cluster_access "$cluster_dir"
    if role_pid "$1" "$cluster_dir" >/dev/null; then
        CLUSTER_HOST=$(cat "$STATE/run/$1.host")
    else
        cluster_start "$1"
    fi
}

# Under another name until it is whole, so that an initdb cut short is never taken for a cluster.
cluster_make() {
    step "making a PostgreSQL cluster in .dev/$1 (as $PG_USER)"
    rm -rf "$cluster_dir" "$cluster_dir.new"
    mkdir -m 700 "$cluster_dir.new"
    [ "$PG_USER" = "$ME" ] || chown "$PG_USER:" "$cluster_dir.new"
    logged "$1-initdb" "the log says why; nothing of it is kept" cluster_initdb "$cluster_dir.new"
    mv "$cluster_dir.new" "$cluster_dir"
}

# From / because PostgreSQL's programs want to come back to where they were called.
cluster_initdb() (
    cd /
    run_as "$PG_USER" env -i PATH="$PATH" "$PG_BIN/initdb" --pgdata="$1" --username=postgres \
        --encoding=UTF8 --locale=C --data-checksums --auth=peer --no-instructions
)

# Peer authentication only. The map is written anew at every start: it is code, not state.
cluster_access() {
    {
        echo "# Written by ./dev at every start."
        echo "local all all peer map=sallyport"
    } | cluster_write "$1/pg_hba.conf"
    {
        echo "# Written by ./dev at every start: operating-system user, database role."
        cluster_map "$PG_USER" postgres sallyport_owner
        cluster_map root postgres sallyport_owner sallyport_api sallyport_worker sallyport_ledger sallyport_read
        if [ "$ME" = root ]; then
            cluster_map "$API_USER" sallyport_api sallyport_ledger sallyport_read
        else
            cluster_map "$ME" sallyport_api sallyport_worker sallyport_ledger sallyport_read
        fi
    } | cluster_write "$1/pg_ident.conf"
}

cluster_map() {
    system_user=$1
    shift
    for database_role in "$@"; do
        printf 'sallyport "%s" %s\n' "$system_user" "$database_role"
    done
}

# The cluster's folder is its owner's alone, so its owner writes.
cluster_write() {
    run_as "$PG_USER" sh -c 'umask 077 && cat >"$1"' sh "$1"
}

# The socket is <folder>/.s.PGSQL.5432 and may have 107 bytes; libpq reads a comma as the
# end of a host, so a strange path counts as too long.
cluster_socket_dir() {
    CLUSTER_HOST=$STATE/run/$1.socket
    case $CLUSTER_HOST in
        *[!A-Za-z0-9/._-]*) safe= ;;
        *) safe=yes ;;
    esac
    if [ -z "$safe" ] || [ $((${#CLUSTER_HOST} + 1 + 14)) -gt 107 ]; then
        CLUSTER_HOST=$(mktemp -d /tmp/sallyport.XXXXXX)
        say "the path of .dev is too long or too strange for a socket: it is in $CLUSTER_HOST"
    else
        mkdir -p "$CLUSTER_HOST"
    fi
    chmod 755 "$CLUSTER_HOST"
    [ "$PG_USER" = "$ME" ] || chown "$PG_USER:" "$CLUSTER_HOST"
    echo "$CLUSTER_HOST" >"$STATE/run/$1.host"
}

cluster_start() {
    step "starting PostgreSQL on .dev/$1"
    cluster_forget_socket "$1"
    cluster_socket_dir "$1"
    wait_until 60 cluster_buried || fail "the last PostgreSQL of .dev/$1 died and pid 1 does not bury it" \
        "restart this container with an init that reaps (docker run --init)"
    launch "$PG_USER" "$1" "$PG_BIN/postgres" -D "$cluster_dir" \
        -c listen_addresses= -c port="$PG_PORT" -c unix_socket_directories="$CLUSTER_HOST" \
        -c unix_socket_permissions=0777 -c max_connections=100 -c shared_buffers=128MB -c fsync=on \
        -c logging_collector=off -c log_timezone=UTC -c timezone=UTC
    wait_until 60 cluster_answers "$1" ||
        fail_log "$STATE/log/$1.log" "PostgreSQL does not answer on $CLUSTER_HOST after 60 s" \
            "if it is still recovering, wait and run this again"
    role_pid "$1" "$cluster_dir" >/dev/null || {
        rm -f "$STATE/run/$1.pid"
        fail_log "$STATE/log/$1.log" "PostgreSQL did not start"
    }
}

# PostgreSQL takes a killed predecessor for a living one as long as it is a zombie.
cluster_buried() {
    old_pid=$(run_as "$PG_USER" head -n 1 "$cluster_dir/postmaster.pid" 2>/dev/null) || return 0
    ! grep -qs '^State:[[:space:]]*Z' "/proc/$old_pid/status"
}

# Also true when the server is gone: no use in waiting for it then.
cluster_answers() {
    role_gone "$1" "$cluster_dir" || "$PG_BIN/pg_isready" -q -h "$CLUSTER_HOST" -p "$PG_PORT" -t 5
}

cluster_down() {
    stop_role "$1" "$STATE/$1" INT 60
    cluster_forget_socket "$1"
}

cluster_forget_socket() {
    [ -s "$STATE/run/$1.host" ] || return 0
    read -r old_host <"$STATE/run/$1.host"
    case $old_host in
        "$STATE"/run/*.socket | /tmp/sallyport.??????) rm -rf "$old_host" ;;
    esac
    rm -f "$STATE/run/$1.host"
}

# cluster_conninfo ROLE DATABASE
cluster_conninfo() {
    echo "host=$CLUSTER_HOST port=$PG_PORT dbname=$2 user=$1"
}

cluster_sql() {
    psql --no-psqlrc --quiet --tuples-only --no-align --set=ON_ERROR_STOP=1 \
        --dbname="$(cluster_conninfo postgres "$1")" --command="$2"
}
