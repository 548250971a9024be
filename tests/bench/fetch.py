#!/usr/bin/python3 -B
# SPDX-License-Identifier: Apache-2.0
"""The first run of a large artifact by a worker that has not seen it, less its second run: fetching, hashing,
unpacking and recording. Against sha256sum and then a plain COPY out of the same bytes (what fetching and hashing
must cost), and against those and `tar -x` of the same archive with `sync` (what unpacking must cost besides), one
after the other, in the same run and the same cluster.

    ./dev bench fetch       SALLYPORT_BENCH_MIB: how much, 512 unless told
"""

import os
import pathlib
import subprocess
import sys
import tarfile

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests" / "system"))
from support import bulk, world as worlds  # noqa: E402

MIB = int(os.environ.get("SALLYPORT_BENCH_MIB", "512"))


def make_archive(world):
    """A rootfs of our program and one large file beside it."""
    ballast = bulk.random_file(os.path.join(world.folder, "ballast"), MIB)
    tool = pathlib.Path(world.folder, "tool")
    tool.write_bytes(world.ground.tool)
    tool.chmod(0o755)
    archive = os.path.join(world.folder, "rootfs.tar")
    with tarfile.open(archive, "w") as tar:
        tar.add(tool, "bin/tool")
        tar.add(ballast, "ballast")
    os.unlink(ballast)
    return archive


def extract(world, archive):
    folder = os.path.join(world.folder, "plain")
    os.mkdir(folder)
    subprocess.run(["tar", "-xf", archive, "-C", folder], check=True)
    subprocess.run(["sync", "-f", folder], check=True)


def approved(world, archive):
    with open(archive, "rb") as file:
        path = "/v1/armory/artifacts?kind=rootfs&name=bench&version=1&entrypoint=/bin/tool"
        digest = world.caller("publisher").request("POST", path, file, "application/octet-stream",
                                                   {"Content-Length": str(os.path.getsize(archive))}).expect(201).json["sha256"]
    state = world.inspected(digest, seconds=600)["state"]
    assert state == "pending", state
    for approver in ("approver-1", "approver-2"):
        world.approve(digest, approver).expect(201)
    return digest


def run_once(world, digest):
    execution = world.ended(world.accept("print", "x", tool=digest), seconds=600)
    assert execution["state"] == "succeeded", execution


def measure(world):
    world.start_all()
    world.signer()
    bulk.make_table(world.db)
    archive = make_archive(world)
    digest = approved(world, archive)
    world.daemons["worker"].stop()  # it has unpacked it, to inspect it
    blob = bulk.copy_in(world.db, archive)
    bulk.copy_out(world.db, blob)  # not measured: the worker's rows are warm too, from the inspection
    hashing, _ = bulk.timed(bulk.sha256sum, archive)
    faster, _ = bulk.timed(bulk.openssl_sha256, archive)
    copying, _ = bulk.timed(bulk.copy_out, world.db, blob)
    extracting, _ = bulk.timed(extract, world, archive)
    fresh = world.start("worker", "fresh")
    first, _ = bulk.timed(run_once, world, digest)
    second, _ = bulk.timed(run_once, world, digest)
    took, least = first - second, hashing + copying
    print(f"{MIB} MiB   sha256sum {hashing:.2f} s + COPY {copying:.2f} s = {least:.2f} s, + tar -x {extracting:.2f} s ="
          f" {least + extracting:.2f} s")
    print(f"first run {first:.2f} s, second {second:.2f} s: {took:.2f} s for fetching, hashing and unpacking"
          f"   ratio {took / least:.2f} without tar (aim: at most 2), {took / (least + extracting):.2f} with it;"
          f" with openssl's hashing, {faster:.2f} s, {took / (faster + copying):.2f} and"
          f" {took / (faster + copying + extracting):.2f}")
    print(f"most memory held by the worker: {bulk.peak_mib(fresh.pid):.1f} MiB")


def main():
    ground = worlds.Ground(os.environ["SALLYPORT_BUILD"])
    try:
        world = worlds.World(ground, "bench-fetch")
        try:
            measure(world)
        finally:
            world.abandon()
    finally:
        ground.close()


if __name__ == "__main__":
    main()
