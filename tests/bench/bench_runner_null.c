/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs through the whole worker over a sandbox that runs nothing: claimed, proven, started, ended,
 * three events each; jobs/s at several numbers of slots, beside the bare commits/s of one
 * connection in the same run; and how long one job waits for its run when there is no other. Needs
 * root (the artifact is unpacked as any other).
 *
 *   bench_runner_null [jobs [slots]]
 */
#include "base/clock.h"
#include "tests/support/worker_fixture.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

#define JOBS 4000
#define COMMITS 2000
#define IDLE_JOBS 200

static double bare_commits(struct scene *scene)
{
    scene_sql(scene, "CREATE TABLE IF NOT EXISTS bare (n bigint)");
    int64_t began = clock_monotonic_ms();
    for (int i = 0; i < COMMITS; i++)
        scene_sql(scene, "INSERT INTO bare VALUES (%d)", i);
    return COMMITS * 1000.0 / (double)(clock_monotonic_ms() - began + 1);
}

static double cpu_ms(void)
{
    struct rusage used;
    (void)getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000 +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1000;
}

/* Not by the database, which would have more to do with the question than with the jobs. */
static void await_ended(struct worker_fixture *fixture, int jobs)
{
    struct worker_stats stats = {0};
    while (stats.ended < (uint64_t)jobs) {
        (void)poll(NULL, 0, 1);
        worker_stats(worker_fixture_worker(fixture), &stats);
    }
}

static void run(void **state, int jobs, int slots)
{
    if (scene_begin(state) != 0)
        exit(1);
    struct worker_fixture *fixture = worker_fixture_open(*state);
    worker_fixture_submit(fixture, "[\"succeed\"]", jobs);
    worker_fixture_start(fixture, slots); /* connects each slot; its last step begins to claim */
    double cpu = cpu_ms();
    int64_t began = clock_monotonic_ms();
    await_ended(fixture, jobs);
    double took = (double)(clock_monotonic_ms() - began);
    (void)printf("%3d slots %6d jobs %7.2f s %7.0f jobs/s %7.0f us of the worker's CPU a job\n",
                 slots, jobs, took / 1000, jobs * 1000.0 / took,
                 (cpu_ms() - cpu) * 1000 / (double)jobs);
    worker_fixture_close(fixture);
}

/* One job at a time, from its submission to where its run begins (and ends at once). */
static void run_idle(void **state)
{
    if (scene_begin(state) != 0)
        exit(1);
    struct scene *scene = *state;
    struct worker_fixture *fixture = worker_fixture_open(scene);
    worker_fixture_start(fixture, 4);
    for (int i = 1; i <= IDLE_JOBS; i++) {
        worker_fixture_submit(fixture, "[\"succeed\"]", 1);
        await_ended(fixture, i);
    }
    static const char tenth[] =
        "SELECT 10000 * percentile_cont(%s) WITHIN GROUP (ORDER BY extract(epoch FROM "
        "finished_at - submitted_at)) FROM execution WHERE tenant_id = '%s'";
    double p50 = (double)scene_number(scene, tenth, "0.5", scene->tenant) / 10;
    double p95 = (double)scene_number(scene, tenth, "0.95", scene->tenant) / 10;
    (void)printf("idle: submit to run %.1f ms at p50, %.1f ms at p95\n", p50, p95);
    worker_fixture_close(fixture);
}

/* The worker writes a line an execution, as it would to a journal; among the figures nobody reads
 * it. The file is left where the bench fails. */
static void log_apart(char *path)
{
    AUTO_CLOSE int fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0 || dup2(fd, STDERR_FILENO) < 0)
        exit(1);
    (void)printf("    the worker's log: %s\n", path);
    (void)fflush(stdout);
}

int main(int argc, char **argv)
{
    char log[] = "/tmp/sallyport-bench-log.XXXXXX";
    static const int slots[] = {1, 4, 16, 64};
    void *state = NULL;
    int jobs = argc > 1 ? (int)strtol(argv[1], NULL, 10) : JOBS;
    int only = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 0; /* 0: each of those below */
    if (jobs < 1 || only < 0 || only > WORKER_SLOTS_MAX) {
        (void)fprintf(stderr, "usage: bench_runner_null [jobs [slots]]\n");
        return 2;
    }
    log_apart(log);
    if (scene_open(&state) != 0 || scene_begin(&state) != 0)
        return 1;
    double commits = bare_commits(state);
    for (size_t i = 0; i < ARRAY_LEN(slots) && only == 0; i++)
        run(&state, jobs, slots[i]);
    if (only > 0)
        run(&state, jobs, only);
    run_idle(&state);
    (void)printf("%3d connection, bare commits: %.0f/s\n", 1, commits);
    (void)scene_close(&state);
    (void)unlink(log);
    return 0;
}
