/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/commands.h"

#include <string.h>

static const struct option common[] = {
    {.name = "output", .letter = 'o', .value = "MODE", .help = "table (default), json or ndjson"},
    {.name = "url", .value = "URL", .help = "the gateway; else SALLYPORT_URL"},
    {.name = "api-key-file", .value = "FILE", .help = "else the key is in SALLYPORT_API_KEY"},
    {.name = "tenant", .value = "TENANT", .help = "which tenant, for a key of the platform"},
    {.name = "ca-file", .value = "FILE", .help = "whom to trust for TLS; else SALLYPORT_CA_FILE"},
    {.name = "help", .letter = 'h', .help = "this, or a command's own help"},
};

const struct option_table common_options = {common, ARRAY_LEN(common)};

static const struct option key_gen_options[] = {
    {.name = "alg",
     .value = "ALG",
     .help = "ES256, ES384, EdDSA, RS256, PS256, HS256, HS384, HS512"},
    {.name = "out", .value = "FILE", .help = "the private key; the public one goes to FILE.pub"},
};

static const struct option key_add_options[] = {
    {.name = "kid", .value = "KID", .help = "the name tokens will call it by; else the JWK's"},
    {.name = "alg", .value = "ALG", .help = "the one algorithm it verifies; else the JWK's"},
    {.name = "file",
     .value = "FILE",
     .help = "PEM, certificate or JWK; for HS*, the secret's bytes"},
    {.name = "jwks", .value = "FILE", .help = "or a set of public keys, added all or none"},
    {.name = "not-before", .value = "TIME", .help = "RFC 3339"},
    {.name = "not-after", .value = "TIME", .help = "RFC 3339"},
};

static const struct option sign_options[] = {
    {.name = "key", .value = "FILE", .help = "a private key in PEM"},
    {.name = "secret-file", .value = "FILE", .help = "or an HMAC secret, with --alg"},
    {.name = "alg", .value = "ALG", .help = "needed for RSA and HMAC keys"},
    {.name = "kid", .value = "KID", .help = "the key's name with the tenant"},
    {.name = "tool", .value = "DIGEST", .help = "the artifact to run"},
    {.name = "operator", .value = "ID", .help = "operator_id; else the caller's principal"},
    {.name = "task", .value = "ID", .help = "task_id; else a new one"},
    {.name = "source", .value = "TEXT", .help = "else sallyport-cli"},
    {.name = "action", .value = "TEXT", .help = "else run"},
    {.name = "target", .value = "URN", .help = "target_urn"},
    {.name = "correlation", .value = "ID", .help = "correlation_id; else a new one"},
    {.name = "arg", .value = "TEXT", .help = "appended to the entrypoint", .repeat = true},
    {.name = "env", .value = "NAME=VALUE", .help = "as the descriptor allows", .repeat = true},
    {.name = "param",
     .value = "NAME=JSON",
     .help = "a parameter of the tool's own",
     .repeat = true},
    {.name = "input", .value = "NAME=FILE", .help = "pushed, then /in/NAME", .repeat = true},
    {.name = "stdin-file", .value = "FILE", .help = "text for the tool's stdin"},
    {.name = "timeout", .value = "SECONDS", .help = "timeout_seconds"},
    {.name = "memory-mib", .value = "N", .help = "limits.memory_mib"},
    {.name = "pids", .value = "N", .help = "limits.pids"},
    {.name = "cpu-percent", .value = "N", .help = "limits.cpu_percent"},
    {.name = "tmp-mib", .value = "N", .help = "limits.tmp_mib"},
    {.name = "offline", .help = "call nobody: inputs are named, not pushed"},
};

static const struct option jws_verify_options[] = {
    {.name = "key",
     .value = "FILE",
     .help = "public key or certificate in PEM; a secret with --alg HS*"},
    {.name = "jwk", .value = "FILE", .help = "or a JWK"},
    {.name = "alg", .value = "ALG", .help = "the one algorithm to accept"},
};

static const struct option submit_options[] = {
    {.name = "wait", .value = "SECONDS", .help = "wait for the end; exit as exec wait does"},
};

static const struct option exec_list_options[] = {
    {.name = "state", .value = "STATE", .help = "queued, running, succeeded, failed, ..."},
    {.name = "tool", .value = "DIGEST", .help = "tool_sha256"},
    {.name = "operator", .value = "ID", .help = "operator_id"},
    {.name = "task", .value = "ID", .help = "task_id"},
    {.name = "correlation", .value = "ID", .help = "correlation_id"},
    {.name = "source", .value = "TEXT", .help = "source"},
    {.name = "action", .value = "TEXT", .help = "action"},
    {.name = "target", .value = "URN", .help = "target_urn"},
    {.name = "from", .value = "TIME", .help = "submitted then or later"},
    {.name = "to", .value = "TIME", .help = "submitted before"},
    {.name = "limit", .value = "N", .help = "at most so many (50)"},
    {.name = "after", .value = "CURSOR", .help = "go on behind an earlier page"},
};

static const struct option logs_options[] = {
    {.name = "stderr", .help = "standard error instead of standard output"},
    {.name = "follow", .help = "as it is written, until the execution has ended"},
};

static const struct option wait_options[] = {
    {.name = "timeout", .value = "SECONDS", .help = "how long at most (a day)"},
};

static const struct option pack_options[] = {
    {.name = "with", .value = "PATH", .help = "a file or folder to add", .repeat = true},
    {.name = "out", .letter = 'o', .value = "FILE", .help = "the archive, .tar.zst"},
};

static const struct option push_options[] = {
    {.name = "kind", .value = "KIND", .help = "binary, rootfs or oci"},
    {.name = "name", .value = "NAME", .help = "what it is"},
    {.name = "version", .value = "VERSION", .help = "which one"},
    {.name = "entrypoint",
     .value = "TEXT",
     .help = "one element of argv, in order",
     .repeat = true},
    {.name = "env-allowed",
     .value = "NAME",
     .help = "a variable manifests may set",
     .repeat = true},
    {.name = "timeout-seconds", .value = "N", .help = "limits of jobs that ask for none"},
    {.name = "memory-mib", .value = "N", .help = "the same"},
    {.name = "pids", .value = "N", .help = "the same"},
    {.name = "cpu-percent", .value = "N", .help = "the same"},
    {.name = "tmp-mib", .value = "N", .help = "the same"},
    {.name = "wait", .value = "SECONDS", .help = "for the inspection (600)"},
};

static const struct option pull_options[] = {
    {.name = "out", .letter = 'o', .value = "FILE", .help = "whole or not at all; else stdout"},
};

static const struct option approve_options[] = {
    {.name = "comment", .value = "TEXT", .help = "why"},
    {.name = "descriptor", .value = "DIGEST", .help = "only if descriptor_sha256 is this one"},
    {.name = "expires", .value = "TIME", .help = "RFC 3339; else never"},
};

static const struct option attach_options[] = {
    {.name = "sbom", .value = "FILE", .help = "SPDX or CycloneDX JSON"},
    {.name = "report", .value = "FILE", .help = "SARIF, or JSON of Grype or Trivy"},
};

static const struct option revoke_options[] = {
    {.name = "reason", .value = "TEXT", .help = "why"},
    {.name = "cancel-running", .help = "end what runs, too"},
};

static const struct option page_options[] = {
    {.name = "limit", .value = "N", .help = "at most so many (1000)"},
    {.name = "after", .value = "CURSOR", .help = "go on behind an earlier page"},
};

static const struct option events_options[] = {
    {.name = "execution", .value = "ID", .help = "all events of one execution"},
    {.name = "type", .value = "TYPE", .help = "execution.finished.v1, ..."},
    {.name = "after", .value = "CURSOR", .help = "go on behind an earlier page"},
    {.name = "limit", .value = "N", .help = "at most so many (100)"},
};

static const struct option verify_options[] = {
    {.name = "vkey", .value = "FILE", .help = "the ledger's verifier keys, one a line"},
    {.name = "origin",
     .value = "NAME",
     .help = "the log's name; else any that one of the keys has"},
    {.name = "event", .value = "FILE", .help = "the event of a receipt; else RECEIPT.json"},
    {.name = "entry", .value = "DIGEST", .help = "the event's SHA-256, where it has expired"},
    {.name = "old", .value = "FILE", .help = "an older checkpoint"},
    {.name = "new", .value = "FILE", .help = "a newer one, which must begin with it"},
    {.name = "proof", .value = "FILE", .help = "the proof of that; else the gateway is asked"},
};

static const struct option prove_options[] = {
    {.name = "execution", .value = "ID", .help = "its `finished` event, instead of EVENT"},
    {.name = "out", .value = "FILE", .help = "else EVENT.tlog-proof; the event: FILE.json"},
    {.name = "wait", .value = "SECONDS", .help = "for the checkpoint that covers it (10)"},
};

static const struct option apikey_create_options[] = {
    {.name = "principal", .value = "NAME", .help = "the person or machine behind it"},
    {.name = "role",
     .value = "ROLE",
     .help = "viewer, submitter, publisher, approver, auditor, admin",
     .repeat = true},
    {.name = "expires", .value = "TIME", .help = "RFC 3339; else never"},
};

#define OPTIONS(table) (table), ARRAY_LEN(table)
#define NO_OPTIONS NULL, 0

static const struct command commands[] = {
    {"key gen", "", 0, 0, "make a key pair, or an HMAC secret", OPTIONS(key_gen_options), key_gen},
    {"key add", "[FILE]", 0, 1, "have the tenant trust a key", OPTIONS(key_add_options), key_add},
    {"key list", "", 0, 0, "the keys the tenant trusts", NO_OPTIONS, key_list},
    {"key revoke", "KID", 1, 1, "end the tenant's trust in a key", NO_OPTIONS, key_revoke},
    {"sign", "", 0, 0, "write and sign a manifest; the token goes to stdout", OPTIONS(sign_options),
     sign_run},
    {"jws verify", "", 0, 0, "prove a token from stdin; its payload goes to stdout",
     OPTIONS(jws_verify_options), jws_verify},

    {"exec submit", "[FILE|-]", 0, 1, "submit a token", OPTIONS(submit_options), exec_submit},
    {"exec get", "ID", 1, 1, "one execution", NO_OPTIONS, exec_get},
    {"exec list", "", 0, 0, "executions, newest first", OPTIONS(exec_list_options), exec_list},
    {"exec logs", "ID", 1, 1, "what the tool wrote", OPTIONS(logs_options), exec_logs},
    {"exec wait", "ID", 1, 1, "wait for the end", OPTIONS(wait_options), exec_wait},
    {"exec cancel", "ID", 1, 1, "ask for the end of an execution", NO_OPTIONS, exec_cancel},

    {"armory pack", "PROGRAM", 1, 1, "a program of this machine and all it loads, as a rootfs",
     OPTIONS(pack_options), armory_pack},
    {"armory push", "FILE", 1, 1, "send an artifact and wait for its inspection",
     OPTIONS(push_options), armory_push},
    {"armory approve", "DIGEST", 1, 1, "approve an artifact as its descriptor says",
     OPTIONS(approve_options), armory_approve},
    {"armory revoke", "DIGEST", 1, 1, "end an artifact for ever, and what waits for it",
     OPTIONS(revoke_options), armory_revoke},
    {"armory list", "", 0, 0, "all artifacts", OPTIONS(page_options), armory_list},
    {"armory pull", "DIGEST", 1, 1, "an artifact's bytes, checked against its digest",
     OPTIONS(pull_options), armory_pull},
    {"armory show", "DIGEST", 1, 1, "one artifact with its approvals", NO_OPTIONS, armory_show},
    {"armory attach", "DIGEST", 1, 1, "attach an SBOM or a report; approvals are then void",
     OPTIONS(attach_options), armory_attach},
    {"armory document", "DIGEST sbom|report", 2, 2, "the bytes of an attached one", NO_OPTIONS,
     armory_document},
    {"input push", "FILE...", 1, ARGS_OPERANDS_MAX, "store files that manifests can name",
     NO_OPTIONS, input_push},

    {"events", "", 0, 0, "events in the ledger's order", OPTIONS(events_options), events_run},
    {"ledger export", "FOLDER", 1, 1, "the log as files", NO_OPTIONS, ledger_export},
    {"ledger prove", "[EVENT]", 0, 1, "an event and its receipt, as files", OPTIONS(prove_options),
     ledger_prove},
    {"ledger verify", "[FOLDER|RECEIPT]", 0, 1,
     "prove an export, a receipt or two checkpoints; needs no network", OPTIONS(verify_options),
     ledger_verify},
    {"ledger checkpoint", "", 0, 0, "the latest signed tree head", NO_OPTIONS, ledger_checkpoint},

    {"apikey create", "", 0, 0, "a new API key, shown once", OPTIONS(apikey_create_options),
     apikey_create},
    {"apikey list", "", 0, 0, "the tenant's API keys", NO_OPTIONS, apikey_list},
    {"apikey revoke", "ID", 1, 1, "end an API key", NO_OPTIONS, apikey_revoke},
    {"whoami", "", 0, 0, "who the API key belongs to, and its roles", NO_OPTIONS, whoami_run},
    {"workers", "", 0, 0, "the worker processes", NO_OPTIONS, workers_run},
    {"version", "", 0, 0, "this client's version", NO_OPTIONS, version_run},
};

const struct command *command_at(size_t n)
{
    return n < ARRAY_LEN(commands) ? &commands[n] : NULL;
}

/* How many words of argv a command's name matches: all of its own, or 0. */
static int match_words(const char *name, int argc, char *const *argv)
{
    int words = 0;
    while (*name != '\0') {
        size_t len = strcspn(name, " ");
        if (words == argc || strlen(argv[words]) != len || memcmp(argv[words], name, len) != 0)
            return 0;
        words++;
        name += name[len] == ' ' ? len + 1 : len;
    }
    return words;
}

const struct command *command_find(int argc, char *const *argv, int *ret_words)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        int words = match_words(commands[i].name, argc, argv);
        if (words > 0) {
            *ret_words = words;
            return &commands[i];
        }
    }
    return NULL;
}
