# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# The end of ./dev up: what a SOC does once. Keys, a tool packed, pushed and approved by two
# people, a signed job through the sandbox, its event, its place in the ledger, its receipt and the
# whole ledger proven; then a forged and an unapproved job, both refused. Every answer is kept in .dev/first.

FIRST=$STATE/first
TENANT=dev
KID=dev-signer
SAMPLES=$TOP/tests/data/yara

first_job() {
    mkdir -p -m 700 "$FIRST"
    api_key admin admin viewer,submitter,publisher,approver,auditor,admin
    if [ -s "$FIRST/execution.json" ]; then
        first_job_summary
        return 0
    fi
    api_key submitter submitter submitter
    api_key publisher publisher publisher
    api_key approver-1 approver-1 approver
    api_key approver-2 approver-2 approver
    first_job_trust
    first_job_tool
    first_job_run
    first_job_proof
    first_job_refusals
    mv "$FIRST/execution.new" "$FIRST/execution.json"
}

first_job_summary() {
    step "the first job ran before: $(jq -r '"\(.id) \(.state), entry \(.ledger.index) of the ledger"' "$FIRST/execution.json")"
}

# api_key NAME PRINCIPAL ROLES: .dev/NAME.key, made by who holds the database; there is no other way to the first one.
api_key() {
    [ ! -s "$STATE/$1.key" ] || return 0
    step "an API key of tenant $TENANT for $2 ($3): .dev/$1.key"
    (umask 077 && "$BIN/sallyportd" apikey --database "$(cluster_conninfo postgres sallyport)" --tenant "$TENANT" \
        --create-tenant --principal "$2" --roles "$3" >"$STATE/$1.key.new" 2>"$STATE/log/apikey.log") ||
        fail_log "$STATE/log/apikey.log" "no API key for $2"
    mv "$STATE/$1.key.new" "$STATE/$1.key"
}

# client KEY ARGS...: the client as the holder of .dev/KEY.key
client() {
    client_key=$(cat "$STATE/$1.key")
    shift
    SALLYPORT_URL=$URL SALLYPORT_API_KEY=$client_key "$BIN/sallyport" "$@" 9>&-
}

# once NAME KEY ARGS...: a client's command that is not repeated when an interrupted first job is taken up again.
once() {
    [ ! -e "$FIRST/$1.done" ] || return 0
    once=$1
    shift
    client "$@" </dev/null >"$STATE/log/first-job.log" 2>&1 ||
        fail_log "$STATE/log/first-job.log" "the first job stopped at: sallyport $*" "mend it and run ./dev up again: it goes on from here"
    touch "$FIRST/$once.done"
}

first_job_trust() {
    step "first job: an ES256 key signs for tenant $TENANT (.dev/signer.pem, key id $KID)"
    once key-gen admin key gen --alg ES256 --out "$STATE/signer.pem"
    openssl pkey -in "$STATE/signer.pem" -pubout -out "$FIRST/signer.pub.pem" ||
        fail "there is no key in $STATE/signer.pem" "remove $FIRST/key-gen.done and run ./dev up again"
    once key-add admin key add --kid "$KID" --alg ES256 --file "$FIRST/signer.pub.pem"
}

# tool NAME PROGRAM PACKAGE: packs a program of Debian's and pushes it; sets digest.
tool() {
    archive=$STATE/$1.tar.zst
    once "$1-pack" publisher armory pack "$2" -o "$archive"
    version=$(dpkg-query -W -f '${Version}' "$3")
    once "$1-push" publisher armory push --kind rootfs --name "$1" --version "$version" --entrypoint "$2" "$archive"
    digest=sha256:$(sha256sum "$archive" | cut -d ' ' -f 1)
}

first_job_tool() {
    step "first job: Debian's yara with its libraries goes into the Armory"
    tool yara /usr/bin/yara yara
    step "first job: two people approve $digest"
    once yara-approve-1 approver-1 armory approve "$digest" --comment "Debian's package, first of two"
    once yara-approve-2 approver-2 armory approve "$digest" --comment "Debian's package, second of two"
}

# sign_job DIGEST TOKEN: a manifest of its own each time, for it has a nonce.
sign_job() {
    client submitter sign --key "$STATE/signer.pem" --kid "$KID" --tool "$1" \
        --arg /in/rule.yar --arg /in/sample.txt \
        --input rule.yar="$SAMPLES/rule.yar" --input sample.txt="$SAMPLES/sample.txt" >"$2" 2>"$STATE/log/first-job.log" ||
        fail_log "$STATE/log/first-job.log" "could not sign the manifest"
}

first_job_run() {
    step "first job: two inputs are pushed, a manifest names them by digest and is signed"
    once input-rule submitter input push "$SAMPLES/rule.yar"
    once input-sample submitter input push "$SAMPLES/sample.txt"
    sign_job "$digest" "$FIRST/token"
    step "first job: submitted; waiting for its end"
    client submitter exec submit --wait 60 -o json "$FIRST/token" >"$FIRST/submitted.json" 2>"$STATE/log/first-job.log" ||
        fail_log "$STATE/log/first-job.log" "the first job was not accepted, or did not succeed"
    execution=$(jq -r .id "$FIRST/submitted.json")
    state=$(jq -r .state "$FIRST/submitted.json")
    [ "$state" = succeeded ] || fail_log "$STATE/log/worker.log" "the first job ended as $state, not succeeded"
}

first_job_proof() {
    wait_until 20 first_job_placed ||
        fail_log "$STATE/log/ledger.log" "the ledger gave the first job's event no receipt within 20 s"
    client admin events --execution "$execution" -o ndjson >"$FIRST/events.ndjson" ||
        fail "the events of $execution could not be read"
    step "first job: its CloudEvent"
    jq 'select(.type == "io.sallyport.execution.finished.v1")' "$FIRST/events.ndjson"
    grep -q sallyport_first_job "$FIRST/events.ndjson" ||
        fail "the event does not hold what yara should have found" "see $FIRST/events.ndjson"
    step "first job: its place in the ledger"
    jq -c '{id, state, event_id, ledger}' "$FIRST/execution.new"
    step "first job: its receipt, verified offline with the public key in .dev/ledger.vkey"
    client submitter ledger prove --execution "$execution" --out "$FIRST/job.tlog-proof" ||
        fail "the receipt of $execution could not be had"
    client submitter ledger verify "$FIRST/job.tlog-proof" --vkey "$STATE/ledger.vkey" ||
        fail "the receipt does not verify" "this should never be: keep .dev as it is and look into it"
    step "first job: the whole ledger, exported and proven with the same key"
    rm -rf "$FIRST/ledger"
    client admin ledger export "$FIRST/ledger" || fail "the ledger could not be exported"
    client admin ledger verify "$FIRST/ledger" --vkey "$STATE/ledger.vkey" ||
        fail "the ledger does not verify" "this should never be: keep .dev as it is and look into it"
}

first_job_placed() {
    client admin exec get "$execution" -o json >"$FIRST/execution.new" 2>/dev/null &&
        [ "$(jq '.ledger.receipt' "$FIRST/execution.new")" != null ]
}

first_job_refusals() {
    sign_job "$digest" "$FIRST/token-forged.whole"
    awk -F . -v OFS=. '{
        tenth = substr($3, 10, 1)
        $3 = substr($3, 1, 9) (tenth == "A" ? "B" : "A") substr($3, 11)
        print
    }' "$FIRST/token-forged.whole" >"$FIRST/token-forged"
    step "a job with one byte of its signature changed is refused"
    refused "$FIRST/token-forged" signature_invalid
    tool true /usr/bin/true coreutils
    sign_job "$digest" "$FIRST/token-unapproved"
    step "a job with a tool nobody approved is refused"
    refused "$FIRST/token-unapproved" artifact_not_approved
}

# refused TOKEN CODE: submits by plain HTTP, shows the problem document, which must have that code.
refused() {
    printf 'Authorization: Bearer %s\n' "$(cat "$STATE/submitter.key")" |
        curl --silent --show-error --max-time 30 --header @- --header 'Content-Type: application/jose' \
            --data-binary "$(tr -d '\n' <"$1")" "$URL/v1/executions" >"$FIRST/problem.json" || fail "the gateway did not answer"
    jq . "$FIRST/problem.json" || cat "$FIRST/problem.json"
    [ "$(jq -r .code "$FIRST/problem.json")" = "$2" ] || fail "this should have been refused as $2"
}
