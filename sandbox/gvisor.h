/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gVisor, for its own files: gvisor.c opens, sweeps and runs; gvisor_start.c is how runsc is
 * started; gvisor_trace.c hears of limits that were met; gvisor_log.c tells from its log how a run
 * ended; gvisor_probe.c finds out what this host has; gvisor_look.c looks at what holds.
 */
#pragma once

#include "sandbox/bundle.h"
#include "sandbox/cgroup.h"
#include "sandbox/outer.h"
#include "sandbox/process.h"
#include "sandbox/sandbox.h"

/* That each process of the sandbox has of its own. */
#define GVISOR_NAMESPACES "pid", "net", "mnt", "ipc", "uts", "user"

struct gvisor {
    char *state_dir, *run_dir, *probe_dir;
    char *runsc_path, *runsc_platform, *apparmor_profile, *runsc_versions;
    uid_t uid;
    gid_t gid;
    int64_t runtime_memory_bytes, runtime_pids;
    int lock; /* flock on the state folder */
    struct outer outer;
    struct cgroup_host *cgroups;
    char cgroups_missing[200]; /* why there are none, "" where there are */
    bool cgroups_required;

    int runsc; /* the copy of it that was hashed */
    struct digest runsc_sha256;
    enum sandbox_apparmor apparmor_mode;
    bool apparmor;                /* the profile is set on the runtime */
    const char *apparmor_missing; /* why it is not, or NULL */
    char runsc_version[100];
    int64_t disk_min_bytes;
};

/* ---- opening and checking ---- */

/* What a run needs, each made or looked at by one function, in an order in which none needs a later
 * one. Opening takes them until one fails; checking takes them all. The detail is of what was
 * found, as words for people. */
struct gvisor_step {
    const char *name;
    unsigned needs; /* bits of enum gvisor_need */
    unsigned gives; /* of these, where it succeeds */
    int (*take)(struct gvisor *gvisor, const struct sandbox_config *config, char *ret_detail,
                size_t size, struct fault *fault);
};

enum gvisor_need {
    GVISOR_FOLDER = 1u << 0,
    GVISOR_CGROUPS = 1u << 1,
    GVISOR_RUNTIME = 1u << 2,
    GVISOR_CONFINED = 1u << 3, /* AppArmor, as far as it is required */
    GVISOR_CLEAN = 1u << 4,
    GVISOR_VERSION = 1u << 5,
};

int gvisor_cgroups_step(struct gvisor *gvisor, const struct sandbox_config *config,
                        char *ret_detail, size_t size, struct fault *fault) MUST_CHECK;
int gvisor_version_step(struct gvisor *gvisor, const struct sandbox_config *config,
                        char *ret_detail, size_t size, struct fault *fault) MUST_CHECK;
int gvisor_apparmor_step(struct gvisor *gvisor, const struct sandbox_config *config,
                         char *ret_detail, size_t size, struct fault *fault) MUST_CHECK;
int gvisor_disk_step(struct gvisor *gvisor, const struct sandbox_config *config, char *ret_detail,
                     size_t size, struct fault *fault) MUST_CHECK;

/* Enough of the disk is free. */
int gvisor_ready(const struct gvisor *gvisor, struct fault *fault) MUST_CHECK;

/* ---- starting ---- */

/* What the sentry told of limits the tool met (sandbox/gvisor_trace.h). */
struct gvisor_seen {
    bool told;     /* the sentry was connected, so it would have told */
    unsigned hits; /* enum sandbox_hit bits */
};

/* Starts runsc on the bundle, in the cgroup, and waits for its end. */
int gvisor_execute(const struct gvisor *gvisor, const struct sandbox_job *job,
                   const struct bundle *bundle, struct cgroup *cgroup,
                   struct process_result *ret_result, struct gvisor_seen *ret_seen,
                   struct fault *fault) MUST_CHECK;

/* The files below bundle_runtime(). */
#define GVISOR_STATE "state"
#define GVISOR_LOG "run.log"         /* of the outer process */
#define GVISOR_SENTRY_LOG "boot.log" /* of the sentry: a FIFO, see struct process_spec.side_fd */
#define GVISOR_PANIC_LOG "panic.log" /* what the Go runtime says when it dies */

/* ---- ending ---- */

/*
 * What the logs prove. runsc's exit status alone cannot be believed: when the sentry dies (at
 * a pids limit it exits with 2, killed it counts as 137) runsc passes that on as if it were
 * the tool's, and a tool's signal looks like an exit with 128 and more. So the sentry's own
 * last word is wanted, and without it the run has failed, whatever runsc says.
 */
struct gvisor_evidence {
    bool started;    /* the sentry began to run the tool */
    bool ended;      /* the sentry told how the tool ended */
    int wait_status; /* then: as of wait(2) */
};

/* Reads the sentry's log (one JSON object a line, `--debug-log-format=json`), of which the
 * beginning may be missing. */
struct gvisor_evidence gvisor_sentry_log_read(struct span log, bool cut);

/* The last error the outer process logged; "" if none. */
void gvisor_log_complaint(struct span log, char *ret_text, size_t size);

/* Sets end, exit_code, signal, detail and the limits hit as far as the end tells them. */
void gvisor_judge(const struct bundle *bundle, const struct process_result *process,
                  bool out_of_memory, struct sandbox_result *result);

/* ---- running and looking ---- */

/* What somebody who looks at a run is shown. */
struct gvisor_watched {
    struct cgroup *cgroup; /* while it lasts, else NULL */
    bool told;             /* after it: struct gvisor_seen */
};

/* One run, begun to end. `watched` may be NULL. *ret_bundle (NULL: none was made) is the caller's
 * to remove, whatever is returned. */
int gvisor_run(const struct gvisor *gvisor, const struct sandbox_job *job,
               struct gvisor_watched *watched, struct sandbox_result *ret_result,
               struct bundle **ret_bundle, struct fault *fault) MUST_CHECK;

/* Starts a sandbox with a few instructions of ours inside and examines it from the host, what holds
 * being looked at and not claimed. Adds a line a promise to `report` (NULL: none). */
int gvisor_look(struct gvisor *gvisor, struct sandbox_report *report,
                struct fault *fault) MUST_CHECK;

/* `isolation_checks` and `runtime` of the events, after all steps. */
int gvisor_describe(const struct gvisor *gvisor, json_t **ret_checks, json_t **ret_runtime,
                    struct fault *fault) MUST_CHECK;
