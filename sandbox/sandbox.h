/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sandbox: one job in, what became of it out. A backend (gVisor here; a microVM or
 * a null one for tests elsewhere) is a struct of named functions; sandbox_open() probes
 * it and refuses a host that cannot hold everything the contract asks, so that a run is
 * never weaker than what sandbox_isolation_checks() says.
 *
 * A struct sandbox may be used by many threads at once; a run occupies its thread. The
 * runtime dies with the thread that started it (PR_SET_PDEATHSIG), so a thread that runs
 * jobs has to live until its sandbox_run() returned.
 */
#pragma once

#include "base/fault.h"
#include "sandbox/output.h"

#include <sys/types.h>

/* ---- what to run ---- */

/* Each is enforced; 0 is not "unlimited" but refused: the caller decides every one. */
struct sandbox_limits {
    int64_t wall_ms;
    int64_t memory_bytes; /* the tool's; the runtime's own share comes on top, but what each
                             process costs the runtime (1.8 MiB with gVisor) counts too */
    int64_t pids;         /* processes and threads of the tool */
    int64_t cpu_percent;  /* 100 is one CPU */
    int64_t tmp_bytes;    /* /tmp */
    int64_t open_files;
    int64_t file_size_bytes;
    int64_t stdout_bytes; /* stored at most; the stream is hashed and counted to its end */
    int64_t stderr_bytes;
};

/* A file the job reads at /in/<name>. */
struct sandbox_input {
    const char *name; /* one path component: not empty, no '/', not "." or "..", at most 255 */
    const char *path; /* host file; a regular file of the worker's run folder */
};

/* All borrowed for the time of the run. */
struct sandbox_job {
    const char *id;          /* UUID text, unique: names cgroup, bundle and container */
    const char *rootfs;      /* host folder, never written */
    const char *const *argv; /* NULL-terminated; argv[0] an absolute path inside the root */
    const char *const *env;  /* NULL-terminated NAME=value, or NULL; exactly these are
                                set, and HOME=/tmp where there is no HOME */
    const char *workdir;     /* absolute path inside the root; NULL: "/" */
    uid_t uid;               /* 0: that of the configuration, as with gid; nobody runs as root */
    gid_t gid;
    const struct sandbox_input *inputs;
    size_t input_count;
    struct span manifest;   /* the bytes of /run/sallyport/manifest.json */
    struct span stdin_data; /* at most SANDBOX_STDIN_MAX; then end of file */
    struct sandbox_limits limits;
    int cancel_fd;      /* readable means: kill it; level-triggered, never read; -1 none */
    sandbox_sink *sink; /* NULL: none */
    void *sink_context;
    struct output_watch *watch; /* shows what is stored while it runs; NULL: nobody looks */
};

#define SANDBOX_STDIN_MAX (1u << 20)
#define SANDBOX_ARGS_MAX 4096
#define SANDBOX_INPUTS_MAX 1024

/* ---- what became of it ---- */

/* X(enum name, wire name) */
#define SANDBOX_ENDS(X)                                                                            \
    X(SANDBOX_EXITED, "exited")     /* exit_code */                                                \
    X(SANDBOX_SIGNALED, "signaled") /* signal */                                                   \
    X(SANDBOX_TIMED_OUT, "timed_out")                                                              \
    X(SANDBOX_OUT_OF_MEMORY, "out_of_memory")                                                      \
    X(SANDBOX_CANCELLED, "cancelled")                                                              \
    X(SANDBOX_FAILED_TO_START, "failed_to_start") /* the tool never ran; detail says why */        \
    X(SANDBOX_RUNTIME_DIED, "runtime_died")       /* the sandbox itself broke; detail says how */

enum sandbox_end {
#define SANDBOX_ENUM(name, wire) name,
    SANDBOX_ENDS(SANDBOX_ENUM)
#undef SANDBOX_ENUM
        SANDBOX_END_COUNT
};

const char *sandbox_end_name(enum sandbox_end end);

/* What the tool ran into; the wire names are those of `limits_hit` (DESIGN.md section 10). */
/* X(enum name, bit, wire name) */
#define SANDBOX_HITS(X)                                                                            \
    X(SANDBOX_HIT_WALL, 0, "timeout_seconds")                                                      \
    X(SANDBOX_HIT_MEMORY, 1, "memory")                                                             \
    X(SANDBOX_HIT_PIDS, 2, "pids")                                                                 \
    X(SANDBOX_HIT_TMP, 3, "tmp")                                                                   \
    X(SANDBOX_HIT_OPEN_FILES, 4, "open_files")                                                     \
    X(SANDBOX_HIT_FILE_SIZE, 5, "file_size")                                                       \
    X(SANDBOX_HIT_STDOUT, 6, "stdout")                                                             \
    X(SANDBOX_HIT_STDERR, 7, "stderr")

enum sandbox_hit {
#define SANDBOX_ENUM(name, bit, wire) name = 1u << (bit),
    SANDBOX_HITS(SANDBOX_ENUM)
#undef SANDBOX_ENUM
};

/* A JSON array of the wire names of the set bits, owned by the caller; NULL without memory. */
json_t *sandbox_hits_json(unsigned hits);

/* -1 where the host does not tell. */
struct sandbox_usage {
    int64_t wall_ms;
    int64_t cpu_ms;
    int64_t memory_peak_bytes; /* with the runtime's share */
    int64_t pids_peak;         /* host tasks, with the runtime's own threads */
    uint64_t output_bytes;     /* both streams, whole */
};

struct sandbox_result {
    enum sandbox_end end;
    int exit_code; /* SANDBOX_EXITED: 0-255, else -1 */
    int signal;    /* SANDBOX_SIGNALED: the tool's signal, else 0 */
    struct sandbox_output output[SANDBOX_STREAMS];
    struct sandbox_usage usage;
    unsigned limits_hit; /* enum sandbox_hit bits */
    int64_t started_ms;  /* wall clock */
    int64_t finished_ms;
    char detail[256]; /* one sentence where the end needs one, else "" */
};

/* Frees what is inside; the struct can be used again. NULL-safe, fine on {0}. */
void sandbox_result_free(struct sandbox_result *result);
#define AUTO_SANDBOX_RESULT AUTO(sandbox_result_free)

/* ---- where ---- */

enum sandbox_apparmor {
    SANDBOX_APPARMOR_REQUIRED,
    SANDBOX_APPARMOR_IF_AVAILABLE,
    SANDBOX_APPARMOR_OFF
};

/* required | if_available | off */
int sandbox_apparmor_parse(const char *text, enum sandbox_apparmor *ret_mode) MUST_CHECK;

/* Settings; sandbox_config_defaults() first, then change. All text is copied by sandbox_open(). */
struct sandbox_config {
    const char *state_dir;        /* absolute, one worker process each; `run` below it is ours */
    const char *runsc_path;       /* absolute; "/usr/bin/runsc" */
    const char *runsc_platform;   /* "ptrace" */
    const char *runsc_sha256;     /* sha256:<hex> the binary must have, or NULL */
    const char *runsc_versions;   /* that may be used, separated by commas */
    const char *cgroup_root;      /* where cgroups are mounted: "/sys/fs/cgroup" */
    const char *cgroup_parent;    /* below it: "sallyport"; "." is the worker's own group */
    bool cgroups_required;        /* else a host without them is taken, and told in the checks */
    const char *apparmor_profile; /* "sallyport-runsc" */
    enum sandbox_apparmor apparmor;
    uid_t uid; /* of the tool: 65534 */
    gid_t gid;
    int64_t runtime_memory_bytes; /* on top of the tool's memory limit, for the runtime itself */
    int64_t runtime_pids;         /* on top of what the tool's pids cost on the host */
    int64_t disk_min_bytes;       /* that must be free where state_dir is, before each run */
};

/* What all that is promised of the sandbox was tried with (tests/sandbox): Debian 12's. */
#define SANDBOX_RUNSC_VERSIONS "0.0~20221219.0"

struct sandbox_config sandbox_config_defaults(void);

/* ---- what is there ---- */

enum sandbox_held { SANDBOX_HELD, SANDBOX_NOT_REQUIRED, SANDBOX_MISSING };

/* One thing a run needs: a line for people. */
struct sandbox_check {
    const char *name; /* static */
    enum sandbox_held held;
    char detail[200]; /* what was found, or what is wrong */
};

#define SANDBOX_CHECKS_MAX 24

struct sandbox_report {
    size_t count;
    struct sandbox_check checks[SANDBOX_CHECKS_MAX];
};

/* Appends a line; past the last there is room for, none. */
void sandbox_report_add(struct sandbox_report *report, const char *name, enum sandbox_held held,
                        const char *detail);
/* True if nothing is missing, and something was looked at. */
bool sandbox_report_holds(const struct sandbox_report *report);

/* ---- backends ---- */

/* `state` is what open() made. Every function may be called from many threads, but open,
 * probe, sweep and close only while nothing else runs. */
struct sandbox_backend {
    const char *name;
    int (*open)(const struct sandbox_config *config, void **ret_state, struct fault *fault);
    /* Removes whatever a crashed worker left below this configuration's folders and cgroups. */
    int (*sweep)(void *state, struct fault *fault);
    /* Looks at the host and, by a real run, at the runtime: what holds, as the two objects of
     * the events (owned by the caller). A fault if anything the contract asks is missing. */
    int (*probe)(void *state, json_t **ret_checks, json_t **ret_runtime, struct fault *fault);
    /* *ret_remains (NULL: there are none) is set whatever is returned. */
    int (*run)(void *state, const struct sandbox_job *job, struct sandbox_result *ret_result,
               void **ret_remains, struct fault *fault);
    /* Removes the remains, and frees them also where that fails. */
    int (*clear)(void *remains, struct fault *fault);
    /* Cheap: what may have gone since the probe, before each run. */
    int (*ready)(void *state, struct fault *fault);
    /* All that open, sweep and probe would do, without stopping at the first thing missing. */
    void (*check)(const struct sandbox_config *config, struct sandbox_report *report);
    void (*close)(void *state);
};

extern const struct sandbox_backend sandbox_gvisor;

/* "gvisor"; NULL if there is none of that name. */
const struct sandbox_backend *sandbox_backend_find(const char *name);

/* ---- the sandbox ---- */

struct sandbox;
#define AUTO_SANDBOX AUTO(sandbox_cleanup)

/* Opens, sweeps and probes the backend. Fails closed (FAULT_UNAVAILABLE with the reason) where
 * anything required is not there. */
int sandbox_open(const struct sandbox_backend *backend, const struct sandbox_config *config,
                 struct sandbox **ret_sandbox, struct fault *fault) MUST_CHECK;

const char *sandbox_name(const struct sandbox *sandbox);

/* What held at the probe, borrowed: `isolation_checks` and `runtime` {"name","version",
 * "binary_sha256"} of the events. */
const json_t *sandbox_isolation_checks(const struct sandbox *sandbox);
const json_t *sandbox_runtime(const struct sandbox *sandbox);

/* isolation_checks as they hold for a job of that uid (0: the configuration's); owned, NULL without
 * memory. */
json_t *sandbox_checks_of(const struct sandbox *sandbox, uid_t uid);
/* 0 if a run could be started now; FAULT_UNAVAILABLE says what has gone since the probe. */
int sandbox_ready(struct sandbox *sandbox, struct fault *fault) MUST_CHECK;

/* Files that nobody uses any more: all that a run leaves. */
struct sandbox_remains {
    const struct sandbox_backend *backend; /* NULL: none */
    void *what;
};

/* Runs the job to its end: no process, mount or cgroup of it is left. 0: *ret_result says what
 * became of it (free with sandbox_result_free()). -1: no process was started
 * (FAULT_MANIFEST_INVALID for a job that cannot be, FAULT_UNAVAILABLE or FAULT_INTERNAL for a host
 * that could not). Its files are removed too, or, unless ret_remains is NULL, are what the caller
 * has to clear, whatever was returned. */
int sandbox_run(struct sandbox *sandbox, const struct sandbox_job *job,
                struct sandbox_result *ret_result, struct sandbox_remains *ret_remains,
                struct fault *fault) MUST_CHECK;

/* Removes them, once; what cannot be removed now the next start of a worker sweeps. */
int sandbox_clear(struct sandbox_remains *remains, struct fault *fault) MUST_CHECK;

void sandbox_free(struct sandbox *sandbox);
void sandbox_cleanup(struct sandbox **sandbox);
