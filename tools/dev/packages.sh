# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# Debian packages: docker/packages.txt says which, dpkg-query says what is missing. PACKAGES_MORE is another list.

packages_missing() {
    dpkg-query -W -f '${db:Status-Status} ${Package}\n' |
        awk 'NR == FNR { if ($1 == "installed") have[$2] = 1; next }
             { sub(/#.*/, "") } NF && !($1 in have) { print $1 }' - "$TOP/docker/packages.txt" ${PACKAGES_MORE:+"$PACKAGES_MORE"}
}

packages_install() {
    command -v apt-get >/dev/null ||
        fail "this is no Debian: ./dev installs its packages with apt-get" \
            "use Debian 12 (a container will do: docker/Dockerfile), or install what docker/packages.txt names"
    missing=$(packages_missing | tr '\n' ' ')
    [ -n "$missing" ] || return 0
    grep -qs '^VERSION_CODENAME=bookworm' /etc/os-release ||
        say "made for Debian 12 (bookworm), this is another: package names may differ"
    step "installing from Debian: $missing"
    case " $missing" in *" postgresql-15 "*) packages_no_main_cluster ;; esac
    logged apt-update "is the network up, and are the sources in /etc/apt right?" apt_update
    # shellcheck disable=SC2086 # one word a package
    logged apt-install "mend what apt says (often: dpkg --configure -a), then run this again" \
        as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 \
        install -y --no-install-recommends $missing
}

# apt waits for dpkg's lock by itself, for that of the lists it does not.
apt_update() {
    attempts=0
    until as_root apt-get update >"$STATE/log/apt-lists.log" 2>&1; do
        attempts=$((attempts + 1))
        if [ "$attempts" -ge 60 ] || ! grep -q 'Could not get lock' "$STATE/log/apt-lists.log"; then
            cat "$STATE/log/apt-lists.log"
            return 1
        fi
        sleep 5
    done
    cat "$STATE/log/apt-lists.log"
}

# Debian's package makes and starts a cluster on port 5432 when first installed. We have
# no use for it; whoever has said what they want is left alone, and so is every cluster there is.
packages_no_main_cluster() {
    folder=/etc/postgresql-common
    if grep -qsE '^[[:space:]]*create_main_cluster' $folder/createcluster.conf $folder/createcluster.d/*.conf; then
        return 0
    fi
    say "Debian shall not start a PostgreSQL of its own on 5432: $folder/createcluster.d/sallyport.conf"
    as_root mkdir -p $folder/createcluster.d
    printf '%s\n' "# Written by Sallyport's ./dev, which keeps a private cluster; delete it to have Debian's default." \
        "create_main_cluster = false" | as_root tee $folder/createcluster.d/sallyport.conf >/dev/null
}
