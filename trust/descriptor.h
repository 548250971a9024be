/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An artifact's descriptor: what it is and how it may be started, fixed with its digest when
 * it is ingested. Approvals name descriptor_sha256, which covers descriptor and digest.
 */
#pragma once

#include "base/digest.h"
#include "base/fault.h"
#include "trust/manifest.h"

enum artifact_kind { ARTIFACT_BINARY, ARTIFACT_ROOTFS, ARTIFACT_OCI };

#define DESCRIPTOR_ENTRYPOINT_MAX 16
#define DESCRIPTOR_ENV_MAX 32
#define DESCRIPTOR_JSON_MAX (32 * 1024)

struct descriptor {
    enum artifact_kind kind;
    const char *name;              /* 1-128 of [A-Za-z0-9][A-Za-z0-9._+-]* */
    const char *version;           /* 1-128 of the same plus `~` and `:` */
    const char *const *entrypoint; /* argv prefix; [0] absolute; empty allowed for binary and oci */
    size_t entrypoint_count;
    const char *const *env_allowed; /* sorted, unique */
    size_t env_allowed_count;
    struct manifest_limits limits; /* defaults for jobs that ask nothing */
};

#define AUTO_DESCRIPTOR AUTO(descriptor_cleanup)

/* Checks the fields (a copy is made) and gives the descriptor with its exact JSON bytes:
 * compact, members in a fixed order, env names sorted, limits that are 0 left out.
 * FAULT_ARTIFACT_INVALID names the field. env names are [A-Z_][A-Z0-9_]{0,63}; LD_*,
 * GLIBC_TUNABLES, GCONV_PATH and PATH can never be allowed. */
int descriptor_new(const struct descriptor *fields, struct descriptor **ret_descriptor,
                   struct buf *ret_json, struct fault *fault) MUST_CHECK;

/* Reads what descriptor_new() wrote, those bytes exactly: an unknown member, another order or a
 * space is FAULT_ARTIFACT_INVALID. */
int descriptor_parse(struct span json, struct descriptor **ret_descriptor,
                     struct fault *fault) MUST_CHECK;

/* SHA-256 over "sallyport-descriptor-v1\n" artifact-hex "\n" json. */
struct digest descriptor_digest(const struct digest *artifact, struct span json);

const char *artifact_kind_name(enum artifact_kind kind);
int artifact_kind_parse(const char *name, enum artifact_kind *ret_kind) MUST_CHECK;

/* FAULT_MANIFEST_INVALID naming the first env of the manifest that is not allowed. */
int descriptor_check_env(const struct descriptor *descriptor, const struct manifest *manifest,
                         struct fault *fault) MUST_CHECK;

void descriptor_free(struct descriptor *descriptor);
void descriptor_cleanup(struct descriptor **descriptor);
