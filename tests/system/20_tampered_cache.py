# SPDX-License-Identifier: Apache-2.0
"""What runs is what the digest names, whatever was done meanwhile to the worker's cache or the stored bytes.

Attack: the cached tree is changed between two runs, while the worker runs and while it does not; two trees
change places; the database holds other bytes than were approved; an artifact leads to what its job brings
along. The run is refused, nothing starts, and the next one has the right bytes again. (Root on the worker's host is out of scope: it needs no cache.)"""

import io
import os
import pathlib
import shutil
import tarfile

from support import tools
from support.world import ACCEPTED, FINISHED, TENANT


def setup(world):
    world.start_all(worker={"slots": 1})
    world.tool()
    world.signer()


def tree(world, digest):
    """The folder of an artifact in the worker's cache."""
    return pathlib.Path(world.state_dir("worker"), "cache", f"{digest[7:]}-binary")


def runs(world, digest):
    """It runs, and from the very bytes that were pushed."""
    execution, data = world.run("print", "as approved", tool=digest)
    assert execution["state"] == "succeeded" and data["stdout"] == "as approved\n", execution
    program = tree(world, digest) / "root/bin/tool"
    assert program.read_bytes().startswith(world.ground.tool), "other bytes are in the cache"


def is_refused(world, digest):
    """Accepted, for the api cannot know; then refused before it starts, with its one event."""
    execution, data = world.run("print", "tampered with", tool=digest)
    seen = {name: execution[name] for name in ("state", "reason", "started_at", "exit_code")}
    assert seen == {"state": "refused", "reason": "content_mismatch", "started_at": None, "exit_code": None}, seen
    assert data["state"] == "refused" and data["status"] == "failed" and not data["stdout"], data
    assert world.event_counts(execution["id"]) == {ACCEPTED: 1, FINISHED: 1}


def put_byte(path, keep_times=True):
    """Changes one byte in place and has the file look as old as before."""
    before = os.stat(path)
    with open(path, "r+b") as file:
        file.seek(before.st_size - 1)
        last = file.read(1)
        file.seek(before.st_size - 1)
        file.write(bytes([last[0] ^ 1]))
    if keep_times:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace(path, data):
    os.rename(path, f"{path}.old")
    path.write_bytes(data)
    shutil.copystat(f"{path}.old", path)
    os.unlink(f"{path}.old")


def swap_folder(folder):
    os.rename(folder, f"{folder}.away")
    os.symlink(f"{os.path.basename(folder)}.away", folder)


CHANGES = {
    "a byte": lambda root: put_byte(root / "bin/tool"),
    "another program of the same size": lambda root: replace(root / "bin/tool", bytes((root / "bin/tool").stat().st_size)),
    "the same bytes in another file": lambda root: replace(root / "bin/tool", (root / "bin/tool").read_bytes()),
    "a right": lambda root: os.chmod(root / "bin/tool", 0o4755),
    "an owner": lambda root: os.chown(root / "bin/tool", 65534, 65534),
    "a second name": lambda root: os.link(root / "bin/tool", root.parent / "kept"),
    "a file more": lambda root: (root / "bin/sh").write_bytes(b"#!"),
    "a file less": lambda root: os.unlink(root / "bin/tool"),
    "a folder more": lambda root: os.mkdir(root / "lib"),
    "a link for a folder": lambda root: swap_folder(root / "bin"),
    "a link for the root": swap_folder,
}


def test_attack_between_two_runs(world):
    for name, change in CHANGES.items():
        digest = world.tool(name)
        runs(world, digest)
        change(tree(world, digest) / "root")
        is_refused(world, digest)
        runs(world, digest)  # fetched again
    runs(world, world.tool())  # and no other artifact was touched


def test_attack_while_the_worker_is_down(world):
    digest, worker = world.tool("down"), world.daemons["worker"]
    for change in ("a byte", "an owner", "a second name", "a file more", "a link for the root"):
        runs(world, digest)
        worker.stop()
        CHANGES[change](tree(world, digest) / "root")
        worker.start().ready()
        runs(world, digest)  # what was changed was thrown away before any job came


def test_attack_two_trees_change_places(world):
    one, two, worker = world.tool("place one"), world.tool("place two"), world.daemons["worker"]

    def change_places():
        spare = tree(world, one).parent / "spare"
        os.rename(tree(world, one), spare)
        os.rename(tree(world, two), tree(world, one))
        os.rename(spare, tree(world, two))
    runs(world, one)
    runs(world, two)
    change_places()
    is_refused(world, one)
    is_refused(world, two)
    runs(world, one)
    runs(world, two)
    worker.stop()
    change_places()
    worker.start().ready()
    for digest, salt in ((one, "place one"), (two, "place two")):
        runs(world, digest)
        data = (tree(world, digest) / "root/bin/tool").read_bytes()
        assert data == tools.variant(world.ground.tool, salt), f"{salt}: the other's bytes"


def forget(world, digest):
    """The worker has to fetch it anew."""
    worker = world.daemons["worker"]
    worker.stop()
    shutil.rmtree(tree(world, digest))
    worker.start().ready()


def chunks(digest):
    return ("blob_chunk WHERE blob_id = (SELECT blob_id FROM artifact"
            f" WHERE tenant_id = '{TENANT}' AND sha256 = '\\x{digest[7:]}')")


def test_attack_other_bytes_in_the_database(world):
    digest = world.tool("stored")
    forget(world, digest)
    world.db.sql(f"UPDATE {chunks(digest).replace(' WHERE', ' SET data = set_byte(data, 100, 255 - get_byte(data, 100)) WHERE', 1)}"
                 " AND n = 0")
    is_refused(world, digest)
    is_refused(world, digest)
    assert not tree(world, digest).exists(), "wrong bytes were kept"
    world.db.sql(f"UPDATE {chunks(digest).replace(' WHERE', ' SET data = set_byte(data, 100, 255 - get_byte(data, 100)) WHERE', 1)}"
                 " AND n = 0")
    runs(world, digest)


def test_attack_more_bytes_by_the_apis_own_role(world):
    """The api may add chunks to uploads; to one that was approved they are no part of it."""
    digest = world.tool("longer")
    forget(world, digest)
    row = world.db.sql(f"SELECT blob_id, max(n) + 1 FROM {chunks(digest)} GROUP BY blob_id")[0]
    world.db.sql(f"INSERT INTO blob_chunk (blob_id, n, tenant_id, data) VALUES ('{row[0]}', {row[1]}, '{TENANT}', 'more')",
                 role="sallyport_api", tenants=[TENANT])
    is_refused(world, digest)
    assert not tree(world, digest).exists(), "wrong bytes were kept"
    for statement in (f"DELETE FROM blob WHERE blob_id = '{row[0]}'", f"UPDATE blob SET blob_id = gen_random_uuid() WHERE blob_id = '{row[0]}'",
                      f"DELETE FROM {chunks(digest)}", f"UPDATE {chunks(digest).replace(' WHERE', ' SET data = data WHERE', 1)}"):
        world.db.refuses(statement, "23503" if statement.startswith("DELETE FROM blob ") else "42501", role="sallyport_api",
                         tenants=[TENANT])


def rootfs(*entries):
    """A tar of (name, program or None, link target or None)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content, target in entries:
            info = tarfile.TarInfo(name)
            info.mode = 0o755
            if target is not None:
                info.type, info.linkname = tarfile.SYMTYPE, target
            else:
                info.size = len(content)
            archive.addfile(info, io.BytesIO(content) if target is None else None)
    return out.getvalue()


def approved(world, name, data, *entrypoint):
    digest = world.push(data, kind="rootfs", name=name, entrypoint=list(entrypoint)).expect(201).json["sha256"]
    assert world.inspected(digest)["state"] == "pending"
    for approver in ("approver-1", "approver-2"):
        world.approve(digest, approver).expect(201)
    return digest


def test_attack_an_entrypoint_outside_the_artifact(world):
    """Two people approved it; what they approved would have the job bring its own program."""
    brought = world.input(world.ground.tool)
    tool = ("bin/tool", world.ground.tool, None)
    archives = {
        "itself": (rootfs(tool), "/in/payload"),
        "link": (rootfs(tool, ("bin/run", None, "/in/payload")), "/bin/run"),
        "links": (rootfs(tool, ("way", None, "in"), ("bin/run", None, "../way/payload")), "/bin/run"),
        "script": (rootfs(tool, ("bin/run", b"#!/in/payload\n", None)), "/bin/run"),
    }
    own = approved(world, "leads-nowhere", rootfs(tool, ("bin/run", None, "tool")), "/bin/run")
    execution, found = world.run("cat", "/in/payload", tool=own, inputs=[{"name": "payload", "sha256": brought}])
    assert execution["state"] == "succeeded" and found["stdout_sha256"] == brought, "it may read what was brought"
    for name, (data, entrypoint) in archives.items():
        digest = approved(world, f"leads-{name}", data, entrypoint)
        execution, found = world.run("print", "brought along", tool=digest, inputs=[{"name": "payload", "sha256": brought}])
        assert execution["state"] in ("failed", "refused"), f"{name}: {execution}"
        assert "brought along" not in (found["stdout"] or ""), f"{name}: ran what was brought along"
