# SPDX-License-Identifier: Apache-2.0
"""An image runs as its configuration says, after people have approved what they were shown of it.

The images are made by umoci and skopeo, not by us. Checked from inside the sandbox: arguments, environment, working
folder, user, and that a layer took away what it said. Attack: configurations by which an input could become code,
an image that is not what its digests say, a manifest that would name the program."""

import io
import json
import pathlib
import tarfile

from support import images, tokens
from support.world import FINISHED, STARTED, TENANT, TOP

INSPECTED = "io.sallyport.artifact.inspected.v1"
MADE = {}  # archives by name, made once a world


def setup(world):
    world.start_all()
    world.signer()
    MADE.clear()


def base(world, name):
    """Two layers: the second takes away a file of the first."""
    image = images.Builder(world.folder, name)
    image.file("usr/bin/tool", world.ground.tool, 0o755).link("bin", "usr/bin").file("etc/gone", b"still here\n")
    image.file("etc/passwd", b"root:x:0:0::/:/bin/sh\nscanner:x:4100:4200::/:/bin/sh\n").layer()
    return image.remove("etc/gone").file("srv/app/here", b"in the working folder\n").layer()


def archives(world):
    """The same image in both forms."""
    if not MADE:
        image = base(world, "tool").configure(entrypoint=["tool", "print"], cmd=["from cmd"], workingdir="/srv/app",
                                              env=["PATH=/usr/local/bin:/bin", "COLOR=blue", "MODE=image"], user="scanner")
        MADE.update(oci=image.oci_archive(), docker=image.docker_archive())
    return MADE


def push(world, path, name, *words, expect=0):
    digest = tokens.sha256(pathlib.Path(path).read_bytes())
    done = world.cli("armory", "push", path, "--kind", "oci", "--name", name, "--version", "1", *words,
                     caller="publisher", expect=expect)
    return digest, done.stdout


def approved(world, form):
    """The image in the Armory, approved by two through the client; its digest, and what the first was shown."""
    if f"approved {form}" not in MADE:
        digest, _ = push(world, archives(world)[form], f"tool-{form}", "--env-allowed", "MODE")
        said = [world.cli("armory", "approve", digest, "--comment", "read its start", caller=approver).stderr
                for approver in ("approver-1", "approver-2")]
        MADE[f"approved {form}"] = (digest, said[0])
    return MADE[f"approved {form}"]


def run(world, digest, *args, **parameters):
    execution, data = world.run(*args, tool=digest, **parameters)
    assert execution["state"] == "succeeded", (execution, data.get("stderr"))
    return data


def inspection(world, digest):
    rows = world.db.sql("SELECT convert_from(body, 'UTF8') FROM event"
                        f" WHERE type = '{INSPECTED}' AND subject = '{digest}' AND tenant_id = '{TENANT}'")
    assert len(rows) == 1, f"{digest} has {len(rows)} inspections"
    return json.loads(rows[0][0])["data"]


def test_the_inspection_says_how_it_starts(world):
    shown = {"entrypoint": ["/bin/tool", "print"], "cmd": ["from cmd"],
             "env": {"PATH": "/usr/local/bin:/bin", "COLOR": "blue", "MODE": "image"},
             "working_dir": "/srv/app", "user": "4100:4200", "program": "/usr/bin/tool"}
    for form in ("oci", "docker"):
        digest, _ = approved(world, form)
        artifact = world.artifact(digest)
        assert artifact["image"] == shown, artifact["image"]
        data = inspection(world, digest)
        assert data["image"] == shown and data["outcome"] == "pending" and data["reason"] is None, data
        assert data["sha256"] == digest and data["descriptor_sha256"] == artifact["descriptor_sha256"], data
        assert data["worker"].startswith("worker/"), data


def test_approvers_are_shown_it(world):
    digest, said = approved(world, "oci")
    for word in ("/bin/tool", "/usr/bin/tool", "COLOR", "4100:4200", "/srv/app"):
        assert word in said, f"{word} is not in what the approver was told: {said}"
    assert "/srv/app" in world.cli("armory", "show", digest).stdout


def test_it_starts_with_its_own_command(world):
    for form in ("oci", "docker"):
        digest, _ = approved(world, form)
        data = run(world, digest)
        assert data["argv"] == ["/bin/tool", "print", "from cmd"] and data["stdout"] == "from cmd\n", data


def test_a_manifest_adds_and_does_not_choose(world):
    digest, _ = approved(world, "oci")
    data = run(world, digest, "/usr/bin/other")
    assert data["argv"] == ["/bin/tool", "print", "/usr/bin/other"] and data["stdout"] == "/usr/bin/other\n", data


def stepping(world):
    """The same root under a descriptor of its own: the tool does the steps it is given."""
    if "steps" not in MADE:
        image = base(world, "steps").configure(entrypoint=["tool"], workingdir="/srv/app", user="scanner",
                                               env=["COLOR=blue", "MODE=image", "HOME=/srv"])
        digest, _ = push(world, image.oci_archive(), "steps", "--env-allowed", "MODE")
        for approver in ("approver-1", "approver-2"):
            world.approve(digest, approver).expect(201)
        MADE["steps"] = digest
    return MADE["steps"]


def test_environment_folder_and_user_are_the_images(world):
    data = run(world, stepping(world), "env", "COLOR", "env", "MODE", "env", "HOME", "env", "LANG", "cat", "here",
               "cat", "/etc/gone", "whoami")
    lines = data["stdout"].splitlines()
    assert lines[:5] == ["COLOR=blue", "MODE=image", "HOME=/srv", "LANG=C.UTF-8", "in the working folder"], lines
    assert lines[5] == "/etc/gone: ENOENT", lines
    assert lines[6] == "uid 4100 gid 4200", lines
    assert data["execution_metadata"]["isolation_checks"]["uid"] == 4100, data["execution_metadata"]
    other = run(world, stepping(world), "env", "MODE", env={"MODE": "manifest"})
    assert other["stdout"] == "MODE=manifest\n", other["stdout"]


def test_the_events_agree(world):
    execution, _ = world.run("whoami", tool=stepping(world))
    events = {event["type"]: event["data"] for event in world.events(execution["id"])}
    held = events[FINISHED]["execution_metadata"]["isolation_checks"]
    assert events[STARTED]["isolation_checks"] == held and held["uid"] == 4100, held


def test_a_program_with_libraries_reads_inputs(world):
    """Debian's yara and all it loads as a layer, its rules and a sample as inputs."""
    data = TOP / "tests" / "data" / "yara"
    image = images.Builder(world.folder, "yara").unpack(world.ground.packed("/usr/bin/yara")).layer()
    digest, _ = push(world, image.configure(entrypoint=["yara"], env=["PATH=/usr/bin"]).docker_archive(), "yara")
    for approver in ("approver-1", "approver-2"):
        world.approve(digest, approver).expect(201)
    inputs = [{"name": name, "sha256": world.input((data / name).read_bytes())} for name in ("rule.yar", "sample.txt")]
    done = run(world, digest, "/in/rule.yar", "/in/sample.txt", inputs=inputs)
    assert done["argv"] == ["/usr/bin/yara", "/in/rule.yar", "/in/sample.txt"], done["argv"]
    assert done["stdout"] == "sallyport_first_job /in/sample.txt\n", done["stdout"]


def test_root_is_nobody(world):
    image = base(world, "root").configure(entrypoint=["/usr/bin/tool", "whoami"], user="root")
    digest, _ = push(world, image.oci_archive(), "root")
    assert "user" not in world.artifact(digest)["image"]
    for approver in ("approver-1", "approver-2"):
        world.approve(digest, approver).expect(201)
    assert "65534" in run(world, digest)["stdout"]


def test_a_descriptor_stands_above_the_image(world):
    image = base(world, "descriptor").configure(entrypoint=["/usr/bin/tool", "exit", "3"], cmd=["exit", "4"])
    digest, _ = push(world, image.oci_archive(), "descriptor", "--entrypoint", "/bin/tool", "--entrypoint", "print",
                     "--entrypoint", "mine")
    for approver in ("approver-1", "approver-2"):
        world.approve(digest, approver).expect(201)
    data = run(world, digest)
    assert data["argv"] == ["/bin/tool", "print", "mine"] and data["stdout"] == "mine\n", data


def test_it_survives_the_worker(world):
    """From the cache of another process: unpacked once, and started the same way."""
    digest = stepping(world)
    run(world, digest, "env", "COLOR")
    world.daemons["worker"].stop()
    world.daemons["worker"].start().ready()
    data = run(world, digest, "env", "COLOR", "cat", "here")
    assert data["stdout"] == "COLOR=blue\nin the working folder\n", data["stdout"]


def rejected(world, path, name, reason):
    digest, shown = push(world, path, name, expect=5)
    artifact = world.artifact(digest)
    assert artifact["state"] == "rejected" and reason in artifact["reason"] and artifact["image"] is None, artifact
    assert reason in shown
    data = inspection(world, digest)
    assert data["outcome"] == "rejected" and reason in data["reason"] and "image" not in data, data
    world.approve(digest, "approver-1").refused(409, "state_conflict")


def test_attack_an_input_becomes_code(world):
    for name, reason, config in (
            ("preload", "LD_PRELOAD", {"entrypoint": ["tool"], "env": ["LD_PRELOAD=/in/x.so"]}),
            ("path", "PATH", {"entrypoint": ["tool"], "env": ["PATH=/in:/bin"]}),
            ("input", "entrypoint", {"entrypoint": ["/in/tool"]}),
            ("nothing", "entrypoint", {}),
            ("missing", "no program", {"entrypoint": ["/bin/sh"]})):
        image = base(world, name)
        if name == "input":
            image.file("in/tool", world.ground.tool, 0o755).layer()
        rejected(world, image.configure(**config).oci_archive(), name, reason)


def test_attack_bytes_that_are_not_what_is_named(world):
    """One bit of one blob, each in turn."""
    whole = archives(world)["oci"]
    with tarfile.open(whole) as archive:
        members = [(member, archive.extractfile(member).read() if member.isfile() else None) for member in archive]
    index = json.loads(next(data for member, data in members if member.name.endswith("index.json")))
    manifest = index["manifests"][0]["digest"]
    named = json.loads(next(data for member, data in members if member.name.endswith(manifest[7:])))
    for what in (manifest, named["config"]["digest"], *(layer["digest"] for layer in named["layers"])):
        path = f"{world.folder}/changed-{what[7:15]}.tar"
        with tarfile.open(path, "w") as archive:
            for member, data in members:
                if data is not None and member.name.endswith(what[7:]):
                    data = data[:-1] + bytes([data[-1] ^ 1])
                write(archive, member, data)
        rejected(world, path, f"changed-{what[7:15]}", "another digest")


def write(archive, member, data):
    archive.addfile(member, io.BytesIO(data) if data is not None else None)
