/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/check.h"

#include "base/file.h"

#include <string.h>
#include <sys/mman.h>

/* The child confines itself before it reads its first byte: that it refuses bytes which are no
 * program says that its uid, namespaces, root, filter and limits could be had. */
static int unpack_nothing(const struct unpack_config *config, const char *folder,
                          struct fault *fault)
{
    static const char bytes[] = "no program";
    struct tree_sum sum;
    struct fault why = {0};
    AUTO_CLOSE int archive = memfd_create("check", MFD_CLOEXEC);
    if (archive < 0 || write(archive, bytes, sizeof bytes) != (ssize_t)sizeof bytes)
        return fault_errno(fault, "cannot make a file in memory");
    if (unpack_archive(config, ARTIFACT_BINARY, archive, folder, -1, &sum, &why) == 0)
        return fault_set(fault, FAULT_INTERNAL, "the unpacker takes what is no program for one");
    if (why.code != FAULT_ARTIFACT_INVALID)
        return fault_set(fault, why.code, "%s", why.detail);
    return 0;
}

static void check_unpacker(const struct sandbox_config *sandbox, const struct unpack_config *unpack,
                           struct sandbox_report *report)
{
    struct fault fault = {0}, ignored;
    AUTO_FREE char *folder = NULL;
    if (asprintf(&folder, "%s/check.XXXXXX", sandbox->state_dir) < 0) {
        folder = NULL;
        sandbox_report_add(report, "unpacker", SANDBOX_MISSING, "out of memory");
        return;
    }
    if (mkdtemp(folder) == NULL) {
        sandbox_report_add(report, "unpacker", SANDBOX_MISSING, "no folder to try it in");
        return;
    }
    if (unpack_nothing(unpack, folder, &fault) != 0)
        sandbox_report_add(report, "unpacker", SANDBOX_MISSING, fault.detail);
    else
        sandbox_report_add(report, "unpacker", SANDBOX_HELD, "confines itself, and refuses");
    (void)!dir_remove(folder, &ignored);
}

static void print(const struct sandbox_report *report)
{
    static const char *const words[] = {[SANDBOX_HELD] = "held",
                                        [SANDBOX_NOT_REQUIRED] = "not required",
                                        [SANDBOX_MISSING] = "MISSING"};
    for (size_t i = 0; i < report->count; i++) {
        const struct sandbox_check *check = &report->checks[i];
        (void)printf("%-16s %-13s %s\n", check->name, words[check->held], check->detail);
    }
    (void)printf("%s\n", sandbox_report_holds(report) ? "runs would be started here"
                                                      : "every run would be refused here");
}

int check_worker(const struct sandbox_config *sandbox, const struct unpack_config *unpack)
{
    struct sandbox_report report = {0};
    sandbox_gvisor.check(sandbox, &report);
    check_unpacker(sandbox, unpack, &report);
    print(&report);
    return sandbox_report_holds(&report) ? 0 : 1;
}
