/* SPDX-License-Identifier: Apache-2.0 */
/*
 * THE table of commands: parsing and help both come from it. And what each command is: one
 * declaration, one sentence. They print their data and leave the exit code in client->exit_code
 * where it is not 0; a fault's code gives it otherwise (cli/outcome.h).
 */
#pragma once

#include "cli/client.h"

typedef int command_run(struct client *client, const struct args *args, struct fault *fault);

struct command {
    const char *name;     /* "exec submit" */
    const char *operands; /* for the help; "" for none */
    size_t operand_min, operand_max;
    const char *summary;
    const struct option *options;
    size_t option_count;
    command_run *run;
};

/* The n-th; NULL past the end. */
const struct command *command_at(size_t n);

/* The command that argv begins with, and how many words its name takes; NULL if there is none. */
const struct command *command_find(int argc, char *const *argv, int *ret_words);

/* What every command takes besides. */
extern const struct option_table common_options;

/* Key pairs and secrets for signing, made here and never sent. */
command_run key_gen;
/* Has a tenant trust a key: PEM, certificate, JWK or HMAC secret. */
command_run key_add;
command_run key_list;
/* Writes and signs a manifest; pushes the inputs it names. */
command_run sign_run;
/* Proves a token from stdin and gives its payload. */
command_run jws_verify;

command_run exec_submit;
command_run exec_get;
command_run exec_list;
command_run exec_logs;
command_run exec_wait;
/* Asks for an end. */
command_run exec_cancel;

/* A program of this machine with all it loads, as a rootfs archive. */
command_run armory_pack;
/* Sends an archive and waits for its inspection. */
command_run armory_push;
/* Approves what the descriptor says, after checking that its digest covers it. */
command_run armory_approve;
/* Ends the tool for ever, and what waits for it. */
command_run armory_revoke;
command_run armory_list;
/* An artifact's bytes, checked against its digest. */
command_run armory_pull;
command_run armory_show;
/* Attaches an SBOM or a vulnerability report, which voids approvals. */
command_run armory_attach;
/* The exact bytes of an attached one. */
command_run armory_document;
command_run input_push;

command_run events_run;
/* The log as files: checkpoint, events.ndjson, entries.sha256. */
command_run ledger_export;
/* Proves such files, a receipt, or two checkpoints, without a network. */
command_run ledger_verify;
/* One event with its receipt, as files. */
command_run ledger_prove;
command_run ledger_checkpoint;

command_run apikey_create;
command_run apikey_list;
command_run apikey_revoke;
command_run key_revoke;
command_run whoami_run;
command_run workers_run;
command_run version_run;
