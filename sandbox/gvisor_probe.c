/* SPDX-License-Identifier: Apache-2.0 */
/* What this host has for a sandbox: cgroups, the runtime's version, AppArmor, disk; and how it is
 * told. */
#include "sandbox/gvisor.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/statvfs.h>

#define VERSION_WALL_MS 30000

/* ---- cgroups ---- */

/* The parent group is the state folder's own, so that two workers of a host never sweep each
 * other's. */
static int open_cgroups(struct gvisor *gvisor, const struct sandbox_config *config,
                        struct fault *fault)
{
    AUTO_FREE char *real = realpath(gvisor->state_dir, NULL);
    AUTO_FREE char *parent = NULL;
    if (real == NULL)
        return fault_errno(fault, "cannot resolve %s", gvisor->state_dir);
    struct digest digest = digest_of(real, strlen(real));
    if (asprintf(&parent, "%s/%.16s", config->cgroup_parent, digest_hex(&digest).text) < 0) {
        parent = NULL;
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    }
    return cgroup_host_open(config->cgroup_root, parent, &gvisor->cgroups, fault);
}

int gvisor_cgroups_step(struct gvisor *gvisor, const struct sandbox_config *config,
                        char *ret_detail, size_t size, struct fault *fault)
{
    struct fault why = {0};
    gvisor->cgroups_required = config->cgroups_required;
    if (open_cgroups(gvisor, config, &why) == 0) {
        (void)snprintf(ret_detail, size, "version %d, memory, pids and cpu",
                       cgroup_host_version(gvisor->cgroups));
        return 0;
    }
    if (config->cgroups_required || why.code != FAULT_UNAVAILABLE)
        return fault_set(fault, why.code, "%s", why.detail);
    (void)snprintf(gvisor->cgroups_missing, sizeof gvisor->cgroups_missing, "%.190s", why.detail);
    (void)snprintf(ret_detail, size, "memory and cpu are NOT limited: %.160s", why.detail);
    return cgroup_host_none(&gvisor->cgroups, fault);
}

/* ---- the runtime's version ---- */

static int read_version(const struct gvisor *gvisor, char *ret_version, size_t size,
                        struct fault *fault)
{
    static const char *const argv[] = {"runsc", "--version", NULL};
    static const char *const env[] = {NULL};
    char program[40];
    (void)snprintf(program, sizeof program, "/proc/self/fd/%d", gvisor->runsc);
    struct process_spec spec = {
        .program = program,
        .argv = argv,
        .env = env,
        .stdin_fd = -1,
        .caps = {4096, 4096},
        .wall_ms = VERSION_WALL_MS,
        .cancel_fd = -1,
        .side_fd = -1,
    };
    AUTO_PROCESS_RESULT struct process_result result = {0};
    if (process_run(&spec, &result, fault) != 0)
        return -1;
    static const char prefix[] = "runsc version ";
    const char *text = buf_text(&result.output[SANDBOX_STDOUT].stored);
    if (result.end != PROCESS_EXITED || result.status != 0 ||
        strncmp(text, prefix, strlen(prefix)) != 0)
        return fault_set(fault, FAULT_UNAVAILABLE, "%s does not tell its version",
                         gvisor->runsc_path);
    text += strlen(prefix);
    (void)snprintf(ret_version, size, "%.*s", (int)strcspn(text, "\n"), text);
    return 0;
}

/* Is `version` one of a list? */
static bool is_listed(const char *version, const char *list)
{
    for (const char *at = list; *at != '\0';) {
        at += strspn(at, ", ");
        size_t len = strcspn(at, ", ");
        if (len > 0 && len == strlen(version) && memcmp(at, version, len) == 0)
            return true;
        at += len;
    }
    return false;
}

int gvisor_version_step(struct gvisor *gvisor, const struct sandbox_config *config,
                        char *ret_detail, size_t size, struct fault *fault)
{
    (void)config;
    if (read_version(gvisor, gvisor->runsc_version, sizeof gvisor->runsc_version, fault) != 0)
        return -1;
    if (!is_listed(gvisor->runsc_version, gvisor->runsc_versions))
        return fault_set(fault, FAULT_UNAVAILABLE, "runsc %s is not an allowed version: %s",
                         gvisor->runsc_version, gvisor->runsc_versions);
    (void)snprintf(ret_detail, size, "%s, of %s", gvisor->runsc_version, gvisor->runsc_versions);
    return 0;
}

/* ---- AppArmor ---- */

/* NULL if the profile is there to be used, or why not. */
static const char *apparmor_missing(const struct gvisor *gvisor)
{
    if (gvisor->apparmor_mode == SANDBOX_APPARMOR_OFF)
        return "off by setting";
    AUTO_CLOSE int fd = open("/sys/module/apparmor/parameters/enabled", O_RDONLY | O_CLOEXEC);
    char answer = 'N';
    if (fd < 0 || read(fd, &answer, 1) != 1 || answer != 'Y')
        return "this kernel has no AppArmor";
    AUTO_FILE FILE *list = fopen("/sys/kernel/security/apparmor/profiles", "re");
    AUTO_FREE char *expected = NULL;
    if (list == NULL)
        return "the loaded AppArmor profiles cannot be read";
    if (asprintf(&expected, "%s (enforce)\n", gvisor->apparmor_profile) < 0) {
        expected = NULL;
        return "out of memory";
    }
    char line[512];
    while (fgets(line, sizeof line, list) != NULL) {
        if (strcmp(line, expected) == 0)
            return NULL;
    }
    return "the profile is not loaded in enforce mode";
}

int gvisor_apparmor_step(struct gvisor *gvisor, const struct sandbox_config *config,
                         char *ret_detail, size_t size, struct fault *fault)
{
    (void)config;
    gvisor->apparmor_missing = apparmor_missing(gvisor);
    gvisor->apparmor = gvisor->apparmor_missing == NULL;
    if (!gvisor->apparmor && gvisor->apparmor_mode == SANDBOX_APPARMOR_REQUIRED)
        return fault_set(fault, FAULT_UNAVAILABLE, "AppArmor is required, but %s",
                         gvisor->apparmor_missing);
    (void)snprintf(ret_detail, size, "%s",
                   gvisor->apparmor ? gvisor->apparmor_profile : gvisor->apparmor_missing);
    return 0;
}

/* ---- disk ---- */

static int read_free(const struct gvisor *gvisor, int64_t *ret_bytes, struct fault *fault)
{
    struct statvfs disk;
    if (statvfs(gvisor->run_dir, &disk) != 0)
        return fault_errno(fault, "cannot ask for the free space in %s", gvisor->run_dir);
    *ret_bytes = (int64_t)disk.f_bavail * (int64_t)disk.f_frsize;
    if (*ret_bytes < gvisor->disk_min_bytes)
        return fault_set(fault, FAULT_UNAVAILABLE,
                         "only %lld MiB are free in %s, expected %lld or more",
                         (long long)(*ret_bytes >> 20), gvisor->state_dir,
                         (long long)(gvisor->disk_min_bytes >> 20));
    return 0;
}

int gvisor_disk_step(struct gvisor *gvisor, const struct sandbox_config *config, char *ret_detail,
                     size_t size, struct fault *fault)
{
    int64_t bytes;
    (void)config;
    if (read_free(gvisor, &bytes, fault) != 0)
        return -1;
    (void)snprintf(ret_detail, size, "%lld MiB, of %lld wanted", (long long)(bytes >> 20),
                   (long long)(gvisor->disk_min_bytes >> 20));
    return 0;
}

int gvisor_ready(const struct gvisor *gvisor, struct fault *fault)
{
    int64_t bytes;
    return read_free(gvisor, &bytes, fault);
}

/* ---- how it is told ---- */

static json_t *apparmor_json(const struct gvisor *gvisor)
{
    const char *missing = gvisor->apparmor_missing;
    static const char *const modes[] = {
        [SANDBOX_APPARMOR_REQUIRED] = "required",
        [SANDBOX_APPARMOR_IF_AVAILABLE] = "if_available",
        [SANDBOX_APPARMOR_OFF] = "off",
    };
    return missing == NULL ? json_pack("{s:s, s:b, s:s}", "mode", modes[gvisor->apparmor_mode],
                                       "held", 1, "profile", gvisor->apparmor_profile)
                           : json_pack("{s:s, s:b, s:s}", "mode", modes[gvisor->apparmor_mode],
                                       "held", 0, "reason", missing);
}

/* Without groups the sentry still holds the tool to its pids; nobody holds it to the rest. */
static json_t *cgroup_json(const struct gvisor *gvisor)
{
    const char *mode = gvisor->cgroups_required ? "required" : "if_available";
    int version = cgroup_host_version(gvisor->cgroups);
    return version > 0
               ? json_pack("{s:s, s:b, s:i, s:[s, s, s]}", "mode", mode, "held", 1, "version",
                           version, "limits", "memory", "pids", "cpu")
               : json_pack("{s:s, s:b, s:s, s:[s, s]}", "mode", mode, "held", 0, "reason",
                           gvisor->cgroups_missing, "not_enforced", "memory_mib", "cpu_percent");
}

static json_t *checks_json(const struct gvisor *gvisor)
{
    static const char *const namespaces[] = {GVISOR_NAMESPACES};
    json_t *names = json_array();
    for (size_t i = 0; i < ARRAY_LEN(namespaces); i++)
        (void)json_array_append_new(names, json_string(namespaces[i]));
    return json_pack("{s:s, s:s, s:s, s:s, s:o, s:s, s:b, s:b, s:b, s:s, s:i, s:o, s:o}", "runtime",
                     "runsc", "version", gvisor->runsc_version, "binary_sha256",
                     digest_format(&gvisor->runsc_sha256).text, "platform", gvisor->runsc_platform,
                     "namespaces", names, "network", "none", "seccomp", 1, "no_new_privs", 1,
                     "root_read_only", 1, "capabilities", "none", "uid", (int)gvisor->uid, "cgroup",
                     cgroup_json(gvisor), "apparmor", apparmor_json(gvisor));
}

int gvisor_describe(const struct gvisor *gvisor, json_t **ret_checks, json_t **ret_runtime,
                    struct fault *fault)
{
    AUTO_JSON json_t *checks = checks_json(gvisor);
    AUTO_JSON json_t *runtime =
        json_pack("{s:s, s:s, s:s}", "name", "gVisor", "version", gvisor->runsc_version,
                  "binary_sha256", digest_format(&gvisor->runsc_sha256).text);
    if (checks == NULL || runtime == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    *ret_checks = TAKE(checks);
    *ret_runtime = TAKE(runtime);
    return 0;
}
