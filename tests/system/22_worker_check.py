# SPDX-License-Identifier: Apache-2.0
"""`sallyportd worker --check` says, line by line, what this host holds, and fails where a run would be refused.

Without a database; and what it says is what a worker would do."""

import os
import stat


def setup(world):
    pass


def check(world, **settings):
    """Its exit status and its lines, by name: (what, detail)."""
    words = {"state_dir": os.path.join(world.folder, "check"), "cgroup_parent": world.cgroup, "apparmor": "if_available"}
    words.update(settings)
    flags = [part for name, value in words.items() for part in ("--" + name.replace("_", "-"), str(value))]
    done = world.run_program("sallyportd", "worker", "--check", *flags)
    lines = done.stdout.splitlines()
    table = {line[:16].strip(): (line[17:30].strip(), line[31:]) for line in lines[:-1]}
    assert set(what for what, _ in table.values()) <= {"held", "not required", "MISSING"}, done.stdout + done.stderr
    return done.returncode, table, lines[-1]


def missing(table):
    return {name for name, (what, _) in table.items() if what == "MISSING"}


def test_a_host_that_holds(world):
    status, table, verdict = check(world)
    assert status == 0 and verdict == "runs would be started here", (table, verdict)
    expected = {"state folder", "cgroups", "runtime", "leftovers", "AppArmor", "runtime version", "free disk", "a sandbox",
                "namespaces", "network", "seccomp", "privileges", "root", "limits told", "unpacker"}
    assert expected <= set(table), table
    assert not missing(table)
    assert "sha256:" in table["runtime"][1], table["runtime"]
    assert os.listdir(os.path.join(world.folder, "check")) == ["run"], "it left something behind"


def test_apparmor_is_required_unless_said_otherwise(world):
    status, table, verdict = check(world, apparmor="required", state_dir=os.path.join(world.folder, "required"))
    loaded = table["AppArmor"][0] == "held"
    assert status == (0 if loaded else 1), table
    assert loaded or verdict == "every run would be refused here"
    assert table["a sandbox"][0] == "held", table  # the rest was looked at all the same
    status, table, _ = check(world, apparmor="off", state_dir=os.path.join(world.folder, "off"))
    assert status == 0 and table["AppArmor"] == ("not required", "off by setting"), table


def test_a_word_for_cgroups_is_one_of_two(world):
    """And a parent that is no path is a mistake, not a host without cgroups."""
    done = world.run_program("sallyportd", "worker", "--check", "--state-dir", os.path.join(world.folder, "word"), "--cgroups", "off")
    assert done.returncode == 1 and "expected required or if_available" in done.stderr, done.stderr
    status, table, _ = check(world, cgroups="if_available", state_dir=os.path.join(world.folder, "if"))
    assert status == 0 and table["cgroups"][0] == "held" and "NOT" not in table["cgroups"][1], table
    status, table, _ = check(world, cgroups="if_available", cgroup_parent="../up", state_dir=os.path.join(world.folder, "up"))
    assert status == 1 and "not a path of a cgroup" in table["cgroups"][1], table


def test_each_thing_that_is_missing(world):
    """And nothing is said to hold that rests on it."""
    broken = {
        "cgroups": {"cgroup_parent": "a//b"},
        "runtime": {"runsc": "/usr/bin/no-such-runsc"},
        "runtime version": {"runsc_versions": "0.0~20990101.0,release-20990101.0"},
        "free disk": {"disk_min_mib": 16777216},
        "unpacker": {"unpack": "/usr/bin/no-such-unpacker"},
        "a sandbox": {"runsc_platform": "none-such"},
    }
    for name, settings in broken.items():
        status, table, verdict = check(world, state_dir=os.path.join(world.folder, name.replace(" ", "-")), **settings)
        assert status == 1 and verdict == "every run would be refused here", (name, table)
        assert name in missing(table), (name, table)
    assert "namespaces" in missing(table), "a promise was made of a sandbox that never ran"
    status, table, _ = check(world, runsc_sha256="sha256:" + "0" * 64, state_dir=os.path.join(world.folder, "pin"))
    assert status == 1 and "not the pinned digest" in table["runtime"][1], table
    assert {"runtime version", "a sandbox"} <= missing(table), table


def test_not_beside_a_running_worker(world):
    """It would sweep away what that runs."""
    world.start_all()
    status, table, _ = check(world, state_dir=world.state_dir("worker"))
    assert status == 1 and "another worker" in table["state folder"][1], table


def test_a_worker_without_disk_takes_nothing(world):
    """The worker itself comes to the same answer."""
    folder = os.path.join(world.folder, "full")
    done = world.run_program("sallyportd", "worker", "--state-dir", folder, "--cgroup-parent", world.cgroup, "--apparmor",
                             "if_available", "--disk-min-mib", "16777216", "--database", "host=/nowhere")
    assert done.returncode == 1 and "MiB are free" in done.stderr, done.stderr
    assert stat.S_IMODE(os.stat(os.path.join(folder, "run")).st_mode) == 0o700
