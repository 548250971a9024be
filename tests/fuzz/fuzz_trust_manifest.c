/* SPDX-License-Identifier: Apache-2.0 */
/* A proven payload. Whatever is accepted keeps the promises of manifest.h. */
#include "base/text.h"
#include "trust/caller.h"
#include "trust/env.h"
#include "trust/manifest.h"
#include "trust/urn.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool truth)
{
    if (!truth)
        abort();
}

static void check_parameters(const struct manifest *manifest)
{
    size_t bytes = 0;
    require(manifest->arg_count <= MANIFEST_ARGS_MAX && manifest->env_count <= MANIFEST_ENV_MAX &&
            manifest->input_count <= MANIFEST_INPUTS_MAX);
    for (size_t i = 0; i < manifest->arg_count; i++)
        bytes += strlen(manifest->args[i]);
    require(bytes <= MANIFEST_ARGS_BYTES);
    for (size_t i = 0; i < manifest->env_count; i++)
        require(env_name_valid(manifest->env[i].name) && manifest->env[i].value != NULL);
    for (size_t i = 0; i < manifest->input_count; i++) {
        const char *name = manifest->inputs[i].name;
        require(strchr(name, '/') == NULL && strcmp(name, "..") != 0 && name[0] != '\0');
    }
    const struct manifest_limits *limits = &manifest->limits;
    require(limits->timeout_seconds >= 0 && limits->timeout_seconds <= MANIFEST_TIMEOUT_MAX &&
            limits->pids >= 0 && limits->pids <= 65536 && limits->memory_mib >= 0 &&
            limits->tmp_mib >= 0 && limits->cpu_percent >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_MANIFEST struct manifest *manifest = NULL;
    struct fault fault = {0};
    if (manifest_parse(span_of(data, size), &manifest, &fault) != 0) {
        require(manifest == NULL && fault.code == FAULT_MANIFEST_INVALID);
        require(utf8_valid(fault.detail, strlen(fault.detail)));
        return 0;
    }
    struct digest digest = digest_of(data, size);
    require(digest_equal(&digest, &manifest->sha256));
    require(strlen(manifest->nonce) >= 8 && strlen(manifest->task_id) >= 3);
    require(urn_valid(manifest->target_urn, strlen(manifest->target_urn)));
    require(tenant_id_valid(manifest->tenant_id, strlen(manifest->tenant_id)));
    check_parameters(manifest);
    const struct manifest_window window = {15 * 60 * 1000, 60 * 1000};
    if (manifest_check_window(manifest, window, manifest->issued_at_ms, &fault) == 0)
        require(manifest_check_window(manifest, window, manifest->issued_at_ms - 60001, NULL) ==
                -1);
    return 0;
}
