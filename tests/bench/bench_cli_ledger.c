/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `sallyport ledger verify` of an export on disk, the program as it is, beside its limit in the
 * same run: for each line the bare SHA-256 calls that it amounts to (the event, its leaf, a node),
 * on one thread, over bytes in memory.
 *
 *   bench_cli_ledger [entries] [bytes an event]
 */
#include "base/file.h"
#include "base/uuid.h"
#include "cli/ledger_files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <spawn.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#define ENTRIES 500000
#define EVENT_BYTES 1536
#define EVENT_BYTES_MIN 64
#define ORIGIN "bench.test/log"

struct bench {
    uint64_t entries;
    size_t bytes;
    char *event;           /* the one line, but for its number */
    struct digest outcome; /* of the bare calls, so that they are made */
    char folder[64], vkey[128], program[4096];
};

static double seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Line n, without its newline. */
static struct span event_of(struct bench *bench, uint64_t n)
{
    char number[24];
    int len = snprintf(number, sizeof number, "%020" PRIu64, n);
    memcpy(bench->event + 6, number, (size_t)len);
    return span_of(bench->event, bench->bytes);
}

static FILE *create(const struct bench *bench, const char *name, struct fault *fault)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", bench->folder, name);
    FILE *file = fopen(path, "wxe");
    if (file == NULL)
        (void)fault_errno(fault, "cannot make %s", path);
    return file;
}

static int write_lines(struct bench *bench, struct merkle_range *range, struct fault *fault)
{
    AUTO_FILE FILE *events = create(bench, LEDGER_FILE_EVENTS, fault);
    AUTO_FILE FILE *entries = events == NULL ? NULL : create(bench, LEDGER_FILE_ENTRIES, fault);
    if (entries == NULL)
        return -1;
    for (uint64_t n = 0; n < bench->entries; n++) {
        struct span event = event_of(bench, n);
        struct digest entry = digest_of_span(event), leaf = merkle_entry_leaf(&entry);
        if (merkle_range_append(range, &leaf, fault) != 0)
            return -1;
        if (fwrite(event.data, 1, event.len, events) != event.len || fputc('\n', events) == EOF ||
            fprintf(entries, "%s\n", digest_hex(&entry).text) < 0)
            return fault_errno(fault, "cannot write the export");
    }
    if (fflush(events) != 0 || fflush(entries) != 0)
        return fault_errno(fault, "cannot write the export");
    return 0;
}

static int write_head(struct bench *bench, const struct merkle_range *range, struct fault *fault)
{
    uint8_t seed[NOTE_SEED_LEN];
    char path[128];
    struct checkpoint checkpoint;
    struct digest root = merkle_range_root(range);
    AUTO_NOTE_SIGNER struct note_signer *signer = NULL;
    AUTO_BUF struct buf note = BUF(NOTE_MAX), vkey = BUF(1024);
    random_bytes(seed, sizeof seed);
    if (note_signer_new(ORIGIN, seed, &signer, fault) != 0 ||
        checkpoint_init(&checkpoint, ORIGIN, range->size, &root, fault) != 0)
        return -1;
    const struct note_signer *signers[] = {signer};
    note_verifier_format(note_signer_verifier(signer), &vkey);
    buf_puts(&vkey, "\n");
    (void)snprintf(path, sizeof path, "%s/" LEDGER_FILE_CHECKPOINT, bench->folder);
    (void)snprintf(bench->vkey, sizeof bench->vkey, "%s/vkey", bench->folder);
    if (checkpoint_sign(&checkpoint, signers, 1, &note, fault) != 0 ||
        file_replace(path, note.data, note.len, 0600, fault) != 0)
        return -1;
    return file_replace(bench->vkey, vkey.data, vkey.len, 0600, fault);
}

/* The client stands beside this program. */
static int prepare(struct bench *bench, struct fault *fault)
{
    struct merkle_range range = {0};
    ssize_t len = readlink("/proc/self/exe", bench->program, sizeof bench->program - 16);
    char *slash = len < 0 ? NULL : memrchr(bench->program, '/', (size_t)len);
    bench->event = malloc(bench->bytes + 1);
    if (slash == NULL || bench->event == NULL)
        return fault_set(fault, FAULT_INTERNAL, "cannot begin");
    memcpy(slash, "/sallyport", sizeof "/sallyport");
    memset(bench->event, 'x', bench->bytes);
    memcpy(bench->event, "{\"n\":\"", 6);
    memcpy(bench->event + bench->bytes - 2, "\"}", 3);
    (void)snprintf(bench->folder, sizeof bench->folder, "/tmp/sallyport-bench.XXXXXX");
    if (mkdtemp(bench->folder) == NULL) {
        bench->folder[0] = '\0';
        return fault_errno(fault, "mkdtemp");
    }
    if (write_lines(bench, &range, fault) != 0)
        return -1;
    return write_head(bench, &range, fault);
}

static void report(const struct bench *bench, const char *what, double wall, double cpu)
{
    (void)printf("%-32s %9.0f entries/s  %6.2f s, CPU %6.2f s (%.0f entries/s of one core)\n", what,
                 (double)bench->entries / wall, wall, cpu, (double)bench->entries / cpu);
}

static double run_bare(struct bench *bench)
{
    struct rusage before, after;
    struct digest node = {0};
    (void)getrusage(RUSAGE_SELF, &before);
    double began = seconds();
    for (uint64_t n = 0; n < bench->entries; n++) {
        struct digest entry = digest_of_span(event_of(bench, n));
        struct digest leaf = merkle_entry_leaf(&entry);
        node = merkle_node(&node, &leaf);
    }
    double wall = seconds() - began;
    (void)getrusage(RUSAGE_SELF, &after);
    double cpu = (double)(after.ru_utime.tv_sec - before.ru_utime.tv_sec) +
                 (double)(after.ru_utime.tv_usec - before.ru_utime.tv_usec) / 1e6;
    bench->outcome = node;
    report(bench, "bare SHA-256 of as many", wall, cpu);
    return cpu;
}

static int run_verify(struct bench *bench, double *ret_cpu, struct fault *fault)
{
    const char *const words[] = {bench->program, "ledger", "verify", bench->folder, "--vkey",
                                 bench->vkey,    "-o",     "json",   NULL};
    char *const environment[] = {NULL};
    struct rusage used;
    pid_t pid;
    int status;
    posix_spawn_file_actions_t quiet;
    double began = seconds();
    int error = posix_spawn_file_actions_init(&quiet);
    if (error == 0)
        error = posix_spawn_file_actions_addopen(&quiet, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    if (error == 0)
        error = posix_spawn(&pid, bench->program, &quiet, NULL, (char *const *)(uintptr_t)words,
                            environment);
    (void)posix_spawn_file_actions_destroy(&quiet);
    if (error != 0) {
        errno = error;
        return fault_errno(fault, "cannot start %s", bench->program);
    }
    if (wait4(pid, &status, 0, &used) != pid)
        return fault_errno(fault, "wait4");
    if (status != 0)
        return fault_set(fault, FAULT_INTERNAL, "ledger verify ended with status %d", status);
    double cpu = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                 (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
    report(bench, "ledger verify of an export", seconds() - began, cpu);
    *ret_cpu = cpu;
    return 0;
}

int main(int argc, char **argv)
{
    struct bench bench = {
        .entries = argc > 1 ? strtoull(argv[1], NULL, 10) : ENTRIES,
        .bytes = argc > 2 ? strtoull(argv[2], NULL, 10) : EVENT_BYTES,
    };
    struct fault fault;
    double cpu;
    if (bench.entries < 1 || bench.bytes < EVENT_BYTES_MIN) {
        (void)fprintf(stderr, "usage: bench_cli_ledger [entries] [bytes an event, %d or more]\n",
                      EVENT_BYTES_MIN);
        return 2;
    }
    int status = prepare(&bench, &fault);
    if (status == 0)
        status = run_verify(&bench, &cpu, &fault);
    if (status == 0)
        (void)printf("%-32s %6.1f %% of the limit, by CPU\n", "", 100 * run_bare(&bench) / cpu);
    else
        (void)fprintf(stderr, "bench_cli_ledger: %s\n", fault.detail);
    if (bench.folder[0] != '\0' && dir_remove(bench.folder, &fault) != 0)
        (void)fprintf(stderr, "%s\n", fault.detail);
    free(bench.event);
    return status == 0 ? 0 : 1;
}
