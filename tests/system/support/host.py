# SPDX-License-Identifier: Apache-2.0
"""What a scenario sees of the host: processes, control groups, mounts, free ports."""

import os
import pathlib
import re
import shlex
import signal
import socket
import sys

UUID = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
CGROUPS = pathlib.Path("/sys/fs/cgroup")


def become_root():
    """As another user: the same command, as root, with what we were told."""
    told = [f"{name}={value}" for name, value in os.environ.items()
            if name.startswith("SALLYPORT_") or name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "PATH", "LC_ALL")]
    sudo = shlex.split(os.environ.get("SALLYPORT_SUDO") or "sudo -n")
    os.execvp(sudo[0], [*sudo, "env", *told, sys.executable, *sys.argv])


def free_port():
    """A port nobody listens on now. Taken by another meanwhile, a daemon fails to start and says so."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def kill(pid):
    """SIGKILL; it may be gone already."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def proc_stat(pid):
    """(state, parent) of a process; ("", 0) of none."""
    try:
        words = pathlib.Path("/proc", str(pid), "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return "", 0
    return words[0], int(words[1])


def is_alive(pid):
    return proc_stat(pid)[0] not in ("", "Z")


def processes():
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


def children(pid):
    return [child for child in processes() if proc_stat(child)[1] == pid]


def processes_naming(text):
    """(pid, command line) of the living processes whose command line has the text."""
    found = []
    for pid in processes():
        if pid == os.getpid():
            continue
        try:
            command = pathlib.Path("/proc", str(pid), "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if text in command and is_alive(pid):
            found.append((pid, command.strip()))
    return found


def open_files(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def resident_mib(pid):
    """What a process holds now."""
    status = pathlib.Path("/proc", str(pid), "status").read_text(encoding="utf-8")
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) / 1024


def files_below(folder):
    """Every file and folder below it."""
    return sorted(os.path.join(at, name) for at, folders, files in os.walk(folder) for name in folders + files)


def mounts_below(path):
    """Mount points of this namespace below a folder."""
    lines = pathlib.Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    points = [line.split()[4].replace("\\040", " ") for line in lines]
    return [point for point in points if point == path or point.startswith(path + "/")]


def cgroup_folders(parent):
    """Every folder of the group `parent` and below, deepest first, in all hierarchies (v1) or the one (v2)."""
    if (CGROUPS / "cgroup.controllers").exists():
        roots = [CGROUPS]
    else:
        roots = sorted({entry.resolve() for entry in CGROUPS.iterdir() if entry.is_dir()})
    found = []
    for root in roots:
        for folder, _, _ in os.walk(root / parent, topdown=False):
            found.append(pathlib.Path(folder))
    return found


def cgroup_members(parent):
    """The processes in a group and below it."""
    members = set()
    for folder in cgroup_folders(parent):
        try:
            members.update(int(pid) for pid in (folder / "cgroup.procs").read_text(encoding="ascii").split())
        except OSError:
            continue
    return sorted(members)


def cgroup_runs(parent):
    """The groups of single runs below it, by the ids of their executions."""
    return sorted({folder.name for folder in cgroup_folders(parent) if UUID.match(folder.name)})


def cgroup_remove(parent):
    """Takes the empty folders away; what still has members stays."""
    for folder in cgroup_folders(parent):
        try:
            folder.rmdir()
        except OSError:
            pass
