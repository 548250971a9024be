# SPDX-License-Identifier: Apache-2.0
"""cgroup v2 as it is on most hosts: the sandbox's own tests in a virtual machine that has no other. Only in the long form.

Groups are made and limited, a run is born in its own and removed with it, a worker below the group it was given needs
no other, and memory that runs out is told. What rests on time is left to this machine."""

import os
import subprocess

from support import machine, tools, world as worlds

FULL = os.environ.get("SALLYPORT_TEST_FULL") == "1"
PROGRAMS = ("test_unit_sandbox_cgroup", "test_sandbox_cgroups", "test_sandbox_sweep")
SECONDS = 800


def setup(world):
    pass


def give_tool(world, guest):
    """The tests compile their tool; there it is only handed out."""
    path = os.path.join(world.folder, "escapes")
    source = worlds.TOP / "tests" / "sandbox" / "tool" / "tool.c"
    subprocess.run(["gcc", "-static", "-O1", "-pthread", "-o", path, str(source)], check=True, timeout=120)
    guest.program(path, "/tool")
    guest.put("/usr/bin/gcc", '#!/bin/sh\nfor word; do [ "$before" != -o ] || cp /tool "$word"; before=$word; done\n')


def passes_there(world):
    guest = machine.Machine(world.folder)
    guest.program(tools.RUNSC)
    guest.program("/bin/true")  # no runtime, and taken for none
    guest.put("/etc/passwd", "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n")
    give_tool(world, guest)
    for name in PROGRAMS:
        guest.program(world.ground.program(name), f"/tests/{name}")
    ended, said = guest.run([f"/tests/{name}" for name in PROGRAMS], SECONDS, ASAN_OPTIONS="detect_leaks=0")
    assert ended == {f"/tests/{name}": 0 for name in PROGRAMS}, f"{ended}\n{said[-6000:]}"


if FULL:
    test_on_cgroup_v2 = passes_there
