#!/usr/bin/python3 -B
# SPDX-License-Identifier: Apache-2.0
"""A large artifact pushed by the client, against sha256sum and then a plain COPY of the same bytes into a table
like ours, one after the other, in the same run and the same cluster. And what api and client held at most.

    ./dev bench upload      SALLYPORT_BENCH_MIB: how much, 1024 unless told
"""

import os
import pathlib
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests" / "system"))
from support import bulk, daemons, world as worlds  # noqa: E402

MIB = int(os.environ.get("SALLYPORT_BENCH_MIB", "1024"))


def push(world, path):
    """(its peak, what it printed)"""
    caller = world.caller("publisher")
    env = {**daemons.environment(), "SALLYPORT_URL": f"http://127.0.0.1:{world.daemons['api'].port}",
           "SALLYPORT_API_KEY": caller.key}
    process = subprocess.Popen([world.ground.program("sallyport"), "armory", "push", path, "--kind", "binary",
                                "--name", "bench", "--version", "1", "--wait", "0"], env=env, cwd="/",
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peak = bulk.Peak(process).value()
    assert process.returncode == 8, f"the client ended with {process.returncode}"  # nobody inspects it
    return peak


def measure(world):
    world.start("api")
    bulk.make_table(world.db)
    path = bulk.random_file(os.path.join(world.folder, "bytes"), MIB)
    world.caller("publisher")
    bulk.copy_in(world.db, path)  # not measured: a new cluster makes its log files as it goes
    world.db.cluster.command("CHECKPOINT")
    pushing, client_peak = bulk.timed(push, world, path)
    world.db.cluster.command("CHECKPOINT")
    copying, _ = bulk.timed(bulk.copy_in, world.db, path)
    hashing, digest = bulk.timed(bulk.sha256sum, path)
    faster, _ = bulk.timed(bulk.openssl_sha256, path)
    assert world.artifact(digest)["size"] == MIB * bulk.CHUNK
    least = hashing + copying
    print(f"{MIB} MiB   sha256sum {hashing:.2f} s + COPY {copying:.2f} s = {least:.2f} s   push {pushing:.2f} s"
          f"   ratio {pushing / least:.2f} (aim: at most 2);"
          f" with openssl's hashing, {faster:.2f} s, {pushing / (faster + copying):.2f}")
    print(f"most memory held: api {bulk.peak_mib(world.daemons['api'].pid):.1f} MiB, client {client_peak:.1f} MiB"
          " (aim: each below 64)")


def main():
    ground = worlds.Ground(os.environ["SALLYPORT_BUILD"])
    try:
        world = worlds.World(ground, "bench-upload")
        try:
            measure(world)
        finally:
            world.abandon()
    finally:
        ground.close()


if __name__ == "__main__":
    main()
