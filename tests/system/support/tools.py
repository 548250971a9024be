# SPDX-License-Identifier: Apache-2.0
"""Artifacts for scenarios: a static program of our own, and Debian's yara packed by the client."""

import os
import pathlib
import subprocess

HERE = pathlib.Path(__file__).resolve().parent


def compile_tool(folder):
    """The bytes of tool.c as a static program, which is what the kind `binary` takes."""
    program = os.path.join(folder, "tool")
    subprocess.run(["gcc", "-std=c17", "-D_GNU_SOURCE", "-O1", "-Wall", "-Wextra", "-Werror", "-static", "-s",
                    str(HERE / "tool.c"), "-o", program], timeout=120, check=True)
    return pathlib.Path(program).read_bytes()


def variant(program, salt):
    """The same program under another digest: what stands behind an ELF file's last part is not loaded."""
    return program + b"\0" + salt.encode() if salt else program


def pack(client_program, path, folder, environment):
    """`sallyport armory pack PATH`: the rootfs archive it makes."""
    archive = os.path.join(folder, os.path.basename(path) + ".tar.zst")
    subprocess.run([client_program, "armory", "pack", path, "-o", archive], env=environment, timeout=180,
                   stdout=subprocess.DEVNULL, cwd="/", check=True)
    return archive
