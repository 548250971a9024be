# SPDX-License-Identifier: Apache-2.0
"""Artifacts for scenarios: a static program of our own, and Debian's yara packed by the client; and a runtime that counts."""

import os
import pathlib
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
RUNSC = "/usr/bin/runsc"


def compile_static(source, program, **defined):
    """A static program of our own source with these texts defined."""
    words = [f'-D{name}="{text}"' for name, text in defined.items()]
    subprocess.run(["gcc", "-std=c17", "-D_GNU_SOURCE", "-O1", "-Wall", "-Wextra", "-Werror", "-static", "-s", *words,
                    str(HERE / source), "-o", program], timeout=120, check=True)


def compile_tool(folder):
    """The bytes of tool.c as a static program, which is what the kind `binary` takes."""
    program = os.path.join(folder, "tool")
    compile_static("tool.c", program)
    return pathlib.Path(program).read_bytes()


class CountedRuntime:
    """runsc, with a file that tells which runs were begun. No tool can write on the host, so its runtime does."""

    def __init__(self, folder):
        self.program = os.path.join(folder, "counted-runsc")
        self.file = os.path.join(folder, "runs")
        compile_static("counted_runsc.c", self.program, RUNS_FILE=self.file, RUNSC=RUNSC)

    def runs(self):
        """id -> how often it was begun, the probes of starting workers among them."""
        counts = {}
        if os.path.exists(self.file):
            for line in pathlib.Path(self.file).read_text(encoding="ascii").splitlines():
                counts[line] = counts.get(line, 0) + 1
        return counts


def variant(program, salt):
    """The same program under another digest: what stands behind an ELF file's last part is not loaded."""
    return program + b"\0" + salt.encode() if salt else program


def pack(client_program, path, folder, environment):
    """`sallyport armory pack PATH`: the rootfs archive it makes."""
    archive = os.path.join(folder, os.path.basename(path) + ".tar.zst")
    subprocess.run([client_program, "armory", "pack", path, "-o", archive], env=environment, timeout=180,
                   stdout=subprocess.DEVNULL, cwd="/", check=True)
    return archive
