/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The OCI bundle of one run (OCI runtime spec 1.0.2): a folder with config.json and what is
 * bound into the sandbox. Nothing in config.json names a host path; all sources are relative
 * to the bundle.
 *
 *   config.json
 *   rootfs/     mount point: the artifact's root is bound here, in the runtime's own mounts
 *   in/         the inputs, bound at /in
 *   sallyport/  manifest.json, bound at /run/sallyport
 *   runtime/    the runtime's state and logs
 */
#pragma once

#include "sandbox/sandbox.h"

struct bundle;

/* What the OCI runtime is to be told, as a pure function of the job; uid and gid are those of a
 * job that names none. Owned by the caller. */
int bundle_config(const struct sandbox_job *job, uid_t uid, gid_t gid, json_t **ret_config,
                  struct fault *fault) MUST_CHECK;

/* Makes run_folder/<job id> with all of the above; the inputs are hard links (copies where the
 * file system is another). Nothing is left where it fails. */
int bundle_make(const char *run_folder, const struct sandbox_job *job, uid_t uid, gid_t gid,
                struct bundle **ret_bundle, struct fault *fault) MUST_CHECK;

/* Absolute paths, borrowed. */
const char *bundle_folder(const struct bundle *bundle);
const char *bundle_rootfs(const struct bundle *bundle);
const char *bundle_runtime(const struct bundle *bundle);

/* Removes the folder and frees it in any case. NULL is success. */
int bundle_remove(struct bundle *bundle, struct fault *fault);
