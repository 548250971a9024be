#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Makes archives, harmless and hostile, in the folder given, and there `index`: one line an
archive, `name TAB ok|refused TAB what the reason says`. Needs only Python and zstd."""

import gzip
import io
import lzma
import os
import subprocess
import sys
import tarfile
import zipfile

FOLDER = sys.argv[1]
INDEX = []


def save(name, data, expected, reason=""):
    with open(os.path.join(FOLDER, name), "wb") as file:
        file.write(data)
    INDEX.append(f"{name}\t{expected}\t{reason}")


def info(name, kind=tarfile.REGTYPE, mode=0o644, size=0, link="", pax=None):
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.size, entry.linkname = kind, mode, size, link
    entry.pax_headers = pax or {}
    entry.uid = entry.gid = 1234
    return entry


def file(name, content=b"content", mode=0o644, **more):
    return info(name, mode=mode, size=len(content), **more), content


def folder(name, mode=0o755):
    return info(name, tarfile.DIRTYPE, mode), None


def symlink(name, target):
    return info(name, tarfile.SYMTYPE, 0o777, link=target), None


def hardlink(name, target):
    return info(name, tarfile.LNKTYPE, link=target), None


def tar(entries, form=tarfile.PAX_FORMAT):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form, encoding="utf-8",
                      errors="surrogateescape") as archive:
        for entry, content in entries:
            archive.addfile(entry, io.BytesIO(content) if content is not None else None)
    return out.getvalue()


def zstd(data):
    return subprocess.run(["zstd", "-q", "-c"], input=data, stdout=subprocess.PIPE,
                          check=True).stdout


def rewrite(data, offset, field):
    """Changes a header field and its block's checksum."""
    block = bytearray(data)
    block[offset:offset + len(field)] = field
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block[:512])
    return bytes(block)


def ok(name, entries, pack=lambda data: data, **more):
    save(name, pack(tar(entries, **more)), "ok")


def refused(name, reason, entries, **more):
    save(name, tar(entries, **more), "refused", reason)


PLAIN = [folder("bin"), file("bin/program", b"#!x", 0o755), file("etc/implicit/file"),
         folder("etc"), symlink("sbin", "bin"), symlink("etc/up", "../bin/program"),
         symlink("etc/absolute", "/etc/passwd"), hardlink("bin/second", "bin/program")]

# What ought to work.
ok("plain.tar", PLAIN)
ok("gnu.tar", PLAIN, form=tarfile.GNU_FORMAT)
ok("ustar.tar", PLAIN, form=tarfile.USTAR_FORMAT)
ok("plain.tar.gz", PLAIN, gzip.compress)
ok("plain.tar.zst", PLAIN, zstd)
ok("dots.tar", [folder("./"), folder("./a"), file("./a/./b"), file("a//c")])
ok("deep.tar", [file("d/" * 63 + "file")])
ok("names.tar", [file("Größe/\u6f22.txt"), file("a b"), file("-rf"), file("A"), file("a"),
                 file("x" * 255)])
ok("long_gnu.tar", [file("/".join(["y" * 100] * 5))], form=tarfile.GNU_FORMAT)
ok("mount_points.tar", [folder("tmp", 0o1777), folder("proc"), folder("run"), folder("in")])
ok("no_owner_no_caps.tar", [file("ping", pax={
    "SCHILY.xattr.security.capability": "\x01\0\0\x02", "uid": "0", "gid": "0"})])
ok("sticky_and_write_bits.tar", [file("open", mode=0o1666), folder("all", 0o1777)])
ok("trailing_garbage.tar", PLAIN, lambda data: data + b"garbage" * 1000)

# Out of the root by name.
refused("absolute.tar", "absolute", [file("/etc/passwd")])
refused("dotdot.tar", "climbs", [file("../escape")])
refused("dotdot_inside.tar", "climbs", [folder("a"), file("a/../../escape")])
refused("dotdot_harmless.tar", "climbs", [folder("a"), file("a/../b")])
refused("dotdot_folder.tar", "climbs", [folder("..")])

# Out of the root by links.
refused("symlink_up.tar", "leaves the root", [symlink("up", "../../etc/passwd")])
refused("symlink_up_deep.tar", "leaves the root", [symlink("a/b/up", "../x/../../../etc")])
refused("symlink_empty.tar", "unusable target", [symlink("empty", "")])
refused("through_absolute_link.tar", "through", [symlink("way", "/tmp"), file("way/escape")])
refused("through_inner_link.tar", "through", [folder("a"), symlink("way", "a"), file("way/b")])
refused("through_file.tar", "not a folder", [file("a"), file("a/b")])
refused("link_then_folder.tar", "named twice", [symlink("way", "/tmp"), folder("way")])
refused("link_then_file.tar", "named twice", [symlink("way", "/etc/passwd"), file("way")])
refused("hardlink_absolute.tar", "absolute", [hardlink("stolen", "/etc/shadow")])
refused("hardlink_up.tar", "climbs", [hardlink("stolen", "../../etc/shadow")])
refused("hardlink_missing.tar", "not in the archive", [hardlink("stolen", "etc/shadow")])
refused("hardlink_to_link.tar", "hard link", [symlink("way", "/etc/shadow"),
                                              hardlink("stolen", "way")])
refused("hardlink_through_link.tar", "through", [symlink("way", "/etc"),
                                                 hardlink("stolen", "way/shadow")])
refused("hardlink_to_folder.tar", "not a file", [folder("a"), hardlink("b", "a")])
refused("hardlink_to_itself.tar", "not in the archive", [hardlink("a", "a")])

# What is not a file, a folder or a link, and what gives rights.
for kind, name in ((tarfile.CHRTYPE, "char"), (tarfile.BLKTYPE, "block"),
                   (tarfile.FIFOTYPE, "fifo")):
    refused(f"{name}.tar", "device, pipe or socket", [(info("dev/x", kind), None)])
refused("setuid.tar", "setuid", [file("su", mode=0o4755)])
refused("setgid.tar", "setuid", [file("wall", mode=0o2755)])
refused("setgid_folder.tar", "setuid", [folder("mail", 0o2775)])

# Names.
refused("twice.tar", "named twice", [file("a"), file("a", b"other")])
refused("twice_other_spelling.tar", "named twice", [file("a/b"), file("./a//b", b"other")])
refused("folder_twice.tar", "named twice", [folder("a"), folder("a")])
refused("file_over_folder.tar", "named twice", [folder("a"), file("a")])
refused("folder_over_file.tar", "named twice", [file("a"), folder("a")])
refused("root_as_file.tar", "root has to be a folder", [file(".")])
refused("too_long.tar", "too long", [file("/".join(["z" * 200] * 6))])
refused("component_too_long.tar", "too long", [file("x" * 256)])
refused("too_deep.tar", "too deep", [file("d/" * 64 + "file")])
refused("control.tar", "control characters", [file("a\x1b[31mred")])
refused("newline.tar", "control characters", [file("a\nb")])
refused("not_utf8.tar", "UTF-8", [file("\udcff\udcfe")], form=tarfile.GNU_FORMAT)
refused("in_is_a_link.tar", "/in is not a folder", [symlink("in", "etc"), folder("etc")])
refused("proc_is_a_file.tar", "/proc is not a folder", [file("proc")])
refused("manifest_folder_is_a_link.tar", "/run/sallyport is not a folder",
        [folder("run"), symlink("run/sallyport", "/etc")])

# More than there is room for (the test allows 64 MiB and 2000 entries).
refused("many_entries.tar", "entries", [file(f"f{i}", b"") for i in range(2001)])
refused("many_implicit_folders.tar", "entries", [file(f"{i}/a/b/c/d", b"") for i in range(450)])
save("gzip_bomb.tar.gz", gzip.compress(tar([file(f"z{i}", bytes(9 << 20)) for i in range(8)])),
     "refused", "unpacks to more")
save("declared_bomb.tar", rewrite(tar([file("big")], form=tarfile.GNU_FORMAT), 124,
                                  b"77777777777\0"), "refused", "unpacks to more")
save("declared_bomb_binary.tar", rewrite(tar([file("big")], form=tarfile.GNU_FORMAT), 124,
                                         b"\x80" + b"\0" * 3 + b"\x7f" + b"\xff" * 7),
     "refused", "")
save("declared_negative.tar", rewrite(tar([file("big")], form=tarfile.GNU_FORMAT), 124,
                                      b"\xff" * 12), "refused", "")
SPARSE = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "hole"}
refused("sparse_bomb.tar", "unpacks to more",
        [(info("s/hole", size=512, pax={**SPARSE, "GNU.sparse.realsize": str(1 << 40)}),
          b"1\n0\n1\n".ljust(512, b"\0"))])
ok("sparse.tar", [(info("s/hole", size=1024, pax={**SPARSE, "GNU.sparse.realsize": str(1 << 20)}),
                   b"1\n4096\n4\n".ljust(512, b"\0") + b"data".ljust(512, b"\0"))])
refused("pax_size_negative.tar", "", [file("a", b"x", pax={"size": "-1"})])
refused("pax_size_huge.tar", "", [file("a", b"x", pax={"size": "99999999999999999999"})])

# What is not, or not wholly, an archive.
save("empty.tar", b"", "refused", "")
save("no_entries.tar", bytes(10240), "refused", "nothing in it")
save("only_the_root.tar", tar([folder("./")]), "refused", "nothing in it")
save("text.tar", b"this is no archive\n" * 100, "refused", "not a readable tar")
save("cut.tar", tar([file("a", bytes(5000))])[:4000], "refused", "not a readable tar")
save("cut.tar.gz", gzip.compress(tar([file("a", os.urandom(50000))]))[:20000], "refused",
     "not a readable tar")
save("broken.tar.zst", zstd(tar([file("a", os.urandom(50000))]))[:-20000] + b"\xff" * 20000,
     "refused", "not a readable tar")
save("checksum.tar", bytes([1]) + tar(PLAIN)[1:], "refused", "not a readable tar")
save("xz.tar.xz", lzma.compress(tar(PLAIN)), "refused", "not a readable tar")
ZIP = io.BytesIO()
with zipfile.ZipFile(ZIP, "w") as archive:
    archive.writestr("../escape", "x")
save("zip.tar", ZIP.getvalue(), "refused", "not a readable tar")
save("cpio.tar", b"070701" + b"0" * 104 + b"TRAILER!!!\0" + bytes(512), "refused",
     "not a readable tar")

with open(os.path.join(FOLDER, "index"), "w", encoding="utf-8") as index:
    index.write("\n".join(INDEX) + "\n")
