# SPDX-License-Identifier: Apache-2.0
"""A small virtual machine: Debian's kernel for clouds and programs of this machine, for what this host's own kernel
has not. Emulated, so it runs anywhere and ten times slower: nothing in it may rest on time."""

import glob
import os
import pathlib
import re
import subprocess
import time

QEMU = "qemu-system-x86_64"
PACKAGE = "linux-image-cloud-amd64"  # depends on the kernel's own package
MEMORY_MIB = 3072
FIRST = """#!/bin/sh
export PATH=/usr/bin:/bin:/usr/sbin
mkdir /new && mount -t tmpfs -o size=2g new /new
for part in /*; do
    case $part in /new | /proc | /sys | /dev | /tmp | /run) mkdir -p /new$part ;; *) cp -a $part /new/ ;; esac
done
cd /new && mount --move . / && exec chroot . /second
"""  # the first root cannot be left by pivot_root(2), which the sandbox does
SECOND = """#!/bin/sh
export PATH=/usr/bin:/bin:/usr/sbin {environment}
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev; mount -t tmpfs tmp /tmp
mount -t cgroup2 cgroup /sys/fs/cgroup
{commands}
echo b > /proc/sysrq-trigger
sleep 60
"""
NEEDED = ("/bin/sh", "/bin/cp", "/bin/cat", "/bin/mkdir", "/bin/sleep", "/bin/mount", "/bin/grep", "/usr/sbin/chroot")


def kernel(folder):
    """A kernel to boot: that of SALLYPORT_TEST_KERNEL, or of Debian's package, which is fetched and not installed."""
    given = os.environ.get("SALLYPORT_TEST_KERNEL")
    if given:
        return given
    said = subprocess.run(["apt-cache", "depends", PACKAGE], capture_output=True, text=True, check=True).stdout
    name = re.search(r"Depends: (linux-image-\S+-cloud-amd64)", said)
    assert name, f"{PACKAGE} names no kernel: {said}"
    subprocess.run(["apt-get", "-o", "APT::Sandbox::User=root", "download", name[1]], cwd=folder, check=True, timeout=300,
                   stdout=subprocess.DEVNULL)
    subprocess.run(["dpkg-deb", "--extract", glob.glob(os.path.join(folder, "linux-image-*.deb"))[0], folder], check=True)
    return glob.glob(os.path.join(folder, "boot", "vmlinuz-*"))[0]


class Archive:
    """An initramfs: cpio(5), the format "newc"."""

    def __init__(self):
        self.parts, self.folders, self.count = [], set(), 0

    def entry(self, name, mode, data=b"", device=(0, 0)):
        self.count += 1
        fields = (self.count, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name) + 1, 0)
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
        self.parts += [head, b"\0" * (-len(head) % 4), data, b"\0" * (-len(data) % 4)]

    def folder(self, path):
        for parent in [*reversed(pathlib.PurePath(path).parents), pathlib.PurePath(path)]:
            if str(parent) not in (".", "/") and parent not in self.folders:
                self.folders.add(parent)
                self.entry(str(parent).lstrip("/"), 0o040755)

    def file(self, path, data, mode=0o755):
        self.folder(os.path.dirname(path))
        self.entry(path.lstrip("/"), 0o100000 | mode, data)

    def bytes(self):
        self.entry("TRAILER!!!", 0)
        return b"".join(self.parts)


class Machine:
    """Files and programs, by the paths they have here or another; then the commands of one run."""

    def __init__(self, folder):
        self.folder, self.files = folder, {}
        for path in NEEDED:
            self.program(path)

    def put(self, path, text):
        self.files[path] = text.encode()

    def program(self, path, at=None):
        """With the libraries it loads."""
        self.files[at or path] = pathlib.Path(path).read_bytes()
        loads = subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stdout
        for library in re.findall(r"(/\S+) \(0x", loads):
            self.files.setdefault(library, pathlib.Path(library).read_bytes())

    def image(self, commands, environment):
        archive = Archive()
        for path in ("/proc", "/sys", "/dev", "/tmp", "/run", "/root"):
            archive.folder(path)
        archive.entry("dev/console", 0o020600, device=(5, 1))
        archive.file("/init", FIRST.encode())
        told = " ".join(f"{name}={value}" for name, value in environment.items())
        archive.file("/second", SECOND.format(commands="\n".join(commands), environment=told).encode())
        for path, data in sorted(self.files.items()):
            archive.file(path, data)
        image = os.path.join(self.folder, "image")
        pathlib.Path(image).write_bytes(archive.bytes())
        return image

    def run(self, programs, seconds, **environment):
        """Runs each program; {program: exit status} of those that ended, and all the machine said."""
        commands = [f"{program}; echo \"=== {program} ended with $?\"" for program in programs]
        image, log = self.image(commands, environment), os.path.join(self.folder, "log")
        command = [QEMU, "-M", "microvm,acpi=off", "-cpu", "max", "-m", str(MEMORY_MIB), "-smp", "2", "-nodefaults",
                   "-no-user-config", "-display", "none", "-serial", f"file:{log}", "-no-reboot", "-kernel", kernel(self.folder),
                   "-initrd", image, "-append", "console=ttyS0 quiet panic=-1 reboot=t"]
        began = time.monotonic()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            pass
        finally:
            process.kill()
            process.wait(30)
        said = pathlib.Path(log).read_text(encoding="utf-8", errors="replace")
        print(f"       a machine ran for {time.monotonic() - began:.0f} s", flush=True)
        return {name: int(code) for name, code in re.findall(r"=== (\S+) ended with (\d+)", said)}, said
