/* SPDX-License-Identifier: Apache-2.0 */
/* A manifest being written, from the words of a command line (DESIGN: the manifest's members). */
#pragma once

#include "base/digest.h"
#include "base/fault.h"
#include "base/json.h"
#include "cli/args.h"

/* What the command line does not say itself. All borrowed. */
struct order {
    const char *tenant_id;
    const char *operator_id;
    const json_t *inputs;   /* array of {"name", "sha256"} */
    const char *stdin_text; /* NULL: none */
    int64_t now_ms;
    const char *id; /* unique: fills nonce, task_id and correlation_id where they are not said */
};

/* The payload's bytes, checked as the gateway will check them: FAULT_MANIFEST_INVALID names the
 * member otherwise. */
int order_write(const struct args *args, const struct order *order, struct buf *ret_payload,
                struct fault *fault) MUST_CHECK;
