#!/usr/bin/python3 -B
# SPDX-License-Identifier: Apache-2.0
"""What Sallyport adds to a run: jobs through the whole path (submit, prove, claim, prove again, run, store) against
bare `runsc run` of the same bundle with the same flags and root, in turn, in the same run.

    ./dev bench run

Latency of one trivial job on an idle system, p50 and p99; throughput, each side at its best parallelism; the time from
the submission to the start of the run; and what the path does by itself, over a sandbox that runs nothing. Bare runsc
has no cgroup and nobody listens to its trace or its log; and it is executed as anybody would. A worker executes it from
a copy in huge pages, with one thread of Go's for its outer process, which is faster: what that gives to bare runsc is
told beside it. The caller keeps its connection, and checks no answer while the clock runs. Figures are printed, and
judged by nobody.

Idle is the system only a while after a run: for some 100 ms the host frees its namespaces, one RCU grace period after
the other, and runsc, which waits for such periods itself as it starts, then is up to 10 ms slower or faster.

SALLYPORT_BENCH_RUNS: how many of each, 200 unless told; half as many where the throughput is measured."""

import datetime
import http.client
import json
import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import threading
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests" / "system"))
from support import host, tools, wait  # noqa: E402
from support.world import Ground, World  # noqa: E402

RUNS = int(os.environ.get("SALLYPORT_BENCH_RUNS", "200"))
QUEUED = RUNS // 2
WARM = 5
REST_S = 0.25
JOB = ("print", "done")
NULL_JOBS = 6000
OURS_ONLY = ("--pod-init-config", "--debug-log", "--debug-command", "--panic-log", "--root", "--bundle")


class Bare:
    """The bundle and the command of a job of ours, taken over while it runs."""

    def __init__(self, world):
        self.folder = os.path.join(world.folder, "bare")
        execution_id = world.accept("sleep", "60")
        world.in_state(execution_id, "running")
        bundle = os.path.join(world.state_dir("worker"), "run", execution_id)
        wait.until(20, "runsc runs", lambda: any(line.startswith("runsc-sandbox") for _, line in host.processes_naming(bundle)))
        line = next(line for _, line in host.processes_naming(bundle) if line.startswith("runsc "))
        self.flags = [word for word in line.split()[1:] if word.startswith("--") and not word.startswith(OURS_ONLY)]
        shutil.copytree(bundle, self.folder, ignore=shutil.ignore_patterns("runtime", "rootfs"))
        world.caller("submitter").request("POST", f"/v1/executions/{execution_id}/cancel").expect(200, 202)
        world.ended(execution_id)
        self.configure(world)
        os.mkdir(os.path.join(self.folder, "state"))
        self.lock, self.number = threading.Lock(), 0

    def configure(self, world):
        """The trivial job's arguments, and its root where the worker has it."""
        path = os.path.join(self.folder, "config.json")
        config = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
        roots = list(pathlib.Path(world.state_dir("worker"), "cache").glob("*/root"))
        assert len(roots) == 1, f"the cache holds {roots}"
        config["root"]["path"] = str(roots[0])
        config["process"]["args"][1:] = list(JOB)
        pathlib.Path(path).write_text(json.dumps(config), encoding="utf-8")

    def run(self, program=tools.RUNSC, env=()):
        with self.lock:
            self.number += 1
            name = f"bare-{self.number}"
        done = subprocess.run([program, *self.flags, f"--root={self.folder}/state", "run", "--bundle", self.folder, name],
                              stdin=subprocess.DEVNULL, capture_output=True, cwd=self.folder,
                              env={"PATH": "/usr/sbin:/usr/bin", **dict(env)}, check=False)
        assert done.returncode == 0 and done.stdout == f"{JOB[1]}\n".encode(), done

    def per_second(self, count, parallel, *how):
        """`count` runs by so many threads."""
        left = list(range(count))

        def work():
            while left:
                try:
                    left.pop()
                except IndexError:
                    return
                self.run(*how)
        threads = [threading.Thread(target=work) for _ in range(parallel)]
        began = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return count / (time.monotonic() - began)


def as_executed(worker):
    """What a worker executes, and its environment: (program, env)."""
    for fd in pathlib.Path(f"/proc/{worker.pid}/fd").iterdir():
        try:
            if os.readlink(fd) == "/sallyport-runsc":
                return str(fd), {"GOMAXPROCS": "1"}
        except FileNotFoundError:  # closed meanwhile
            pass
    raise AssertionError("the worker has no copy of the runtime")


def moment(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


class Caller:
    """A caller of the API that keeps its connection, and checks nothing while the clock runs."""

    def __init__(self, world):
        self.client = world.caller("submitter")
        self.connection = http.client.HTTPConnection(*self.client.address, timeout=60)
        self.headers = {"Authorization": f"Bearer {self.client.key}", "Content-Type": "application/jose", "Prefer": "wait=30"}

    def ask(self, method, path, body=None):
        self.connection.request(method, path, body=body, headers=self.headers)
        answer = self.connection.getresponse()
        text = answer.read()
        assert answer.status == 200, (answer.status, text)
        return text

    def submit(self, token):
        """(the answer's body, seconds until it was there)"""
        began = time.monotonic()
        return self.ask("POST", "/v1/executions", token.encode()), time.monotonic() - began

    def has_ended(self, execution_id):
        return json.loads(self.ask("GET", f"/v1/executions/{execution_id}"))["finished_at"] is not None


def one_job(world, caller):
    """(seconds until the caller has the end; milliseconds from acceptance to start, the same from the sending; the
    sandbox's CPU milliseconds)."""
    token = world.token(*JOB)
    time.sleep(REST_S)
    sent = time.time()
    body, took = caller.submit(token)
    execution = json.loads(body)
    assert execution["state"] == "succeeded", execution
    started = moment(execution["started_at"])
    return took, (started - moment(execution["submitted_at"])) * 1000, (started - sent) * 1000, execution["usage"]["cpu_ms"]


def bare_run(bare, *how):
    """(seconds, CPU milliseconds)"""
    time.sleep(REST_S)
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    bare.run(*how)
    took, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return took, (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000


def quantiles(seconds):
    """p50 and p99 in milliseconds."""
    return statistics.median(seconds) * 1000, sorted(seconds)[min(len(seconds) - 1, len(seconds) * 99 // 100)] * 1000


def latency(world, bare):
    ours, theirs, alike, caller, how = [], [], [], Caller(world), as_executed(world.daemons["worker"])
    for number in range(WARM + RUNS):
        mine, other, third = one_job(world, caller), bare_run(bare), bare_run(bare, *how)
        if number >= WARM:
            ours.append(mine)
            theirs.append(other)
            alike.append(third)
    (p50, p99), (bare50, bare99), (alike50, alike99) = (quantiles([each[0] for each in each_of]) for each_of in (ours, theirs, alike))
    print(f"latency of {RUNS}   bare runsc p50 {bare50:6.1f} ms p99 {bare99:6.1f} ms   whole path p50 {p50:6.1f} ms p99 {p99:6.1f} ms"
          f"   ratio {p50 / bare50:.2f}, {p99 / bare99:.2f} (aim: at most 1.10)", flush=True)
    print(f"bare runsc executed as ours is   p50 {alike50:6.1f} ms p99 {alike99:6.1f} ms   ratio {p50 / alike50:.2f}, {p99 / alike99:.2f}",
          flush=True)
    print(f"CPU of the runtime      median bare {statistics.median(run[1] for run in theirs):.0f} ms, in our sandbox"
          f" {statistics.median(job[3] for job in ours):.0f} ms", flush=True)
    print(f"submit to start, idle   median {statistics.median(job[1] for job in ours):.1f} ms from acceptance,"
          f" {statistics.median(job[2] for job in ours):.1f} ms from the client's sending (aim: 5)", flush=True)


def our_throughput(world, slots):
    """Jobs that wait for a worker with so many slots, a second, from when it may work to the last tool's end."""
    worker = world.daemons["worker"]
    worker.stop()
    tokens = [world.token(*JOB) for _ in range(QUEUED)]
    ids = [world.submit(token).expect(202).json["id"] for token in tokens]
    worker.flags["slots"] = slots
    worker.start()
    # Until the last is done, which may not be the last to end, nothing that takes as much as psql is started.
    caller = Caller(world)
    wait.until(120, "the last job ends", lambda: caller.has_ended(ids[-1]))
    wait.until(60, "the queue drains", lambda: world.db.count("execution_queue") == 0)
    among = ",".join(f"'{execution_id}'" for execution_id in ids)
    took, good = world.db.sql("SELECT extract(epoch FROM max(finished_at) - min(started_at)), count(*) FILTER (WHERE state = 'succeeded')"
                              f" FROM execution WHERE execution_id IN ({among})")[0]
    assert int(good) == QUEUED, f"{good} of {QUEUED} succeeded"
    return QUEUED / float(took)


def throughput(world, bare):
    best = {"bare runsc": 0, "whole path": 0, "bare runsc executed as ours is": 0}
    cores = os.cpu_count() or 1
    for parallel in sorted({cores, cores + 1, 2 * cores, 3 * cores}):
        executed = bare.per_second(QUEUED, parallel, *as_executed(world.daemons["worker"]))
        rates = dict(zip(best, (bare.per_second(QUEUED, parallel), our_throughput(world, parallel), executed)))
        print(f"throughput at {parallel}   " + "   ".join(f"{what} {rate:5.1f}/s" for what, rate in rates.items()), flush=True)
        best = {what: max(best[what], rate) for what, rate in rates.items()}
    bare_rate, our_rate, executed = best.values()
    print("throughput, the best of each   " + "   ".join(f"{what} {rate:.1f}/s" for what, rate in best.items())
          + f"   ratio {our_rate / bare_rate:.2f} (aim: at least 0.95), {our_rate / executed:.2f} of the last", flush=True)


def null_backend(ground):
    print("the path by itself, over a sandbox that runs nothing (aim: 2,000 jobs/s):", flush=True)
    done = subprocess.run([ground.program("bench_runner_null"), str(NULL_JOBS)], capture_output=True, text=True, timeout=300,
                          check=False)
    print(done.stdout, end="")
    assert done.returncode == 0, done.stderr[-2000:]


def main():
    ground = Ground(os.environ["SALLYPORT_BUILD"])
    try:
        world = World(ground, "bench-run")
        try:
            world.start_all(worker={"slots": os.cpu_count() or 1})
            world.tool()
            world.signer()
            bare = Bare(world)
            latency(world, bare)
            throughput(world, bare)
        finally:
            world.abandon()
        null_backend(ground)
    finally:
        ground.close()


if __name__ == "__main__":
    main()
