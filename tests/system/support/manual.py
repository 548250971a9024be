# SPDX-License-Identifier: Apache-2.0
"""docs/ledger.md as something that can be run."""

import re
import subprocess

from support import daemons
from support.world import TOP


def blocks(*headings, but=()):
    """Its commands, in its order: [(heading, text)]; of these headings, or of all but those."""
    found, heading = [], ""
    text = (TOP / "docs" / "ledger.md").read_text(encoding="utf-8")
    for part in re.split(r"^(## .*|```sh\n(?:.*\n)*?```)$", text, flags=re.MULTILINE):
        if part.startswith("## "):
            heading = part[3:]
        elif part.startswith("```sh\n") and (heading in headings or not headings) and heading not in but:
            found.append((heading, part.removeprefix("```sh\n").removesuffix("```")))
    return found


def shell(world, script, folder, **env):
    """The script in that folder, as its reader would run it."""
    env = {**daemons.environment(), "PATH": f"{world.ground.build}/bin:/usr/bin:/bin",
           "SALLYPORT_URL": f"http://127.0.0.1:{world.daemons['api'].port}", "SALLYPORT_API_KEY": world.caller("admin").key, **env}
    return subprocess.run(["sh", "-eu", "-c", script], cwd=folder, env=env, capture_output=True, text=True, timeout=300, check=False)


def run(world, script, folder, **env):
    """shell(), which must succeed; what it wrote."""
    done = shell(world, script, folder, **env)
    assert done.returncode == 0, f"{script}\nended with {done.returncode}: {done.stdout[-1000:]}{done.stderr[-2000:]}"
    return done.stdout
