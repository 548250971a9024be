#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Archives, harmless and hostile, and what has to become of each.

Makes them in the folder given, and there `index`: one line an archive, `name TAB ok|refused TAB what
the reason says`. A refused archive is refused whole. An `ok` one is unpacked and then nothing but plain
files, folders and links is there; where it was hostile, its comment says what made it harmless.
The test allows 64 MiB and 2000 entries. Needs only Python and zstd."""

import bz2
import gzip
import io
import lzma
import os
import sys
import tarfile
import zipfile

from tars import (BLOCK, END, binary, entry, file, folder, hardlink, header, info, long_name, old_sparse,
                  padded, pax, record, skippable, symlink, tar, zstd, zstd_frame, zstd_repeated)

FOLDER = sys.argv[1]
INDEX = []


def save(name, data, expected, reason=""):
    with open(os.path.join(FOLDER, name), "wb") as out:
        out.write(data)
    INDEX.append(f"{name}\t{expected}\t{reason}")


def ok(name, entries, pack=lambda data: data, **more):
    save(name, pack(tar(entries, **more)), "ok")


def refused(name, reason, entries, **more):
    save(name, tar(entries, **more), "refused", reason)


def harmless_bytes(name, *parts):
    save(name, b"".join(parts), "ok")


def refused_bytes(name, reason, *parts):
    save(name, b"".join(parts), "refused", reason)


TAR = "not a readable tar"
PLAIN = [folder("bin"), file("bin/program", b"#!x", 0o755), file("etc/implicit/file"),
         folder("etc"), symlink("sbin", "bin"), symlink("etc/up", "../bin/program"),
         symlink("etc/absolute", "/etc/passwd"), hardlink("bin/second", "bin/program")]
FILE = entry(b"a", b"content")

# ---- What ought to work. ----
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
ok("sticky_and_write_bits.tar", [file("open", mode=0o1666), folder("all", 0o1777)])
ok("tar_of_tars.tar", [file("inner.tar", tar(PLAIN)), file("hostile.tar", tar([file("../escape")]))])
harmless_bytes("prefix.tar", entry(b"file", b"x", prefix=b"usr/share"), END)
harmless_bytes("no_end.tar", FILE)  # POSIX wants two zero blocks; many writers leave them out
harmless_bytes("half_an_end.tar", FILE, bytes(BLOCK))

# ---- Out of the root by name. ----
refused("absolute.tar", "absolute", [file("/etc/passwd")])
refused("absolute_folder.tar", "absolute", [folder("/")])
refused_bytes("absolute_slashes.tar", "absolute", entry(b"///etc/passwd", b"x"), END)
refused("dotdot.tar", "climbs", [file("../escape")])
refused("dotdot_to_the_canary.tar", "climbs", [file("../canary/etc/passwd", b"root::0:0")])
refused("dotdot_inside.tar", "climbs", [folder("a"), file("a/../../escape")])
refused("dotdot_harmless.tar", "climbs", [folder("a"), file("a/../b")])
refused("dotdot_folder.tar", "climbs", [folder("..")])
refused_bytes("dotdot_by_prefix.tar", "climbs", entry(b"escape", b"x", prefix=b".."), END)
refused_bytes("absolute_by_prefix.tar", "absolute", entry(b"passwd", b"x", prefix=b"/etc"), END)

# ... where the header looks harmless and what stands before it overrides it.
refused_bytes("pax_path_absolute.tar", "absolute", pax([(b"path", b"/etc/passwd")]), FILE, END)
refused_bytes("pax_path_dotdot.tar", "climbs", pax([(b"path", b"../canary/etc/passwd")]), FILE, END)
refused_bytes("pax_sparse_name.tar", "climbs",
              pax([(b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"),
                   (b"GNU.sparse.name", b"../escape"), (b"GNU.sparse.realsize", b"4")]),
              entry(b"a", padded(b"1\n0\n4\n") + b"data"), END)
refused_bytes("long_name_absolute.tar", "absolute", long_name(b"/etc/passwd\0"), FILE, END)
refused_bytes("long_name_dotdot.tar", "climbs", long_name(b"../escape\0"), FILE, END)
refused_bytes("long_name_twice.tar", "climbs", long_name(b"good\0"), long_name(b"../escape\0"), FILE,
              END)

# ---- Out of the root by links. ----
refused("symlink_up.tar", "leaves the root", [symlink("up", "../../etc/passwd")])
refused("symlink_up_deep.tar", "leaves the root", [symlink("a/b/up", "../x/../../../etc")])
refused("symlink_empty.tar", "unusable target", [symlink("empty", "")])
refused("symlink_control.tar", "unusable target", [symlink("odd", "a\x1b[2J")])
refused("through_absolute_link.tar", "through", [symlink("way", "/tmp"), file("way/escape")])
refused("through_inner_link.tar", "through", [folder("a"), symlink("way", "a"), file("way/b")])
refused("through_link_to_folder_up.tar", "through", [folder("a"), symlink("a/way", ".."), file("a/way/b")])
refused("through_dangling_link.tar", "through", [symlink("way", "later"), folder("way/later")])
refused("through_file.tar", "not a folder", [file("a"), file("a/b")])
refused("link_then_folder.tar", "named twice", [symlink("way", "/tmp"), folder("way")])
refused("link_then_file.tar", "named twice", [symlink("way", "/etc/passwd"), file("way")])
refused("hardlink_absolute.tar", "absolute", [hardlink("stolen", "/etc/shadow")])
refused("hardlink_up.tar", "climbs", [hardlink("stolen", "../../etc/shadow")])
refused("hardlink_to_the_canary.tar", "climbs", [hardlink("stolen", "../canary/etc/passwd")])
refused("hardlink_missing.tar", "not in the archive", [hardlink("stolen", "etc/shadow")])
refused("hardlink_to_link.tar", "hard link", [symlink("way", "/etc/shadow"),
                                              hardlink("stolen", "way")])
refused("hardlink_through_link.tar", "through", [symlink("way", "/etc"),
                                                 hardlink("stolen", "way/shadow")])
refused("hardlink_to_folder.tar", "not a file", [folder("a"), hardlink("b", "a")])
refused("hardlink_to_itself.tar", "not in the archive", [hardlink("a", "a")])
refused("hardlink_then_file.tar", "named twice", [file("a"), hardlink("b", "a"), file("b", b"over a")])
refused_bytes("pax_symlink.tar", "leaves the root", pax([(b"linkpath", b"../../etc")]),
              entry(b"a", kind=b"2", link=b"b"), END)
refused_bytes("pax_hardlink.tar", "absolute", FILE, pax([(b"linkpath", b"/etc/shadow")]),
              entry(b"b", kind=b"1", link=b"a"), END)
refused_bytes("long_link.tar", "leaves the root", long_name(b"../../etc\0", b"K"),
              entry(b"a", kind=b"2", link=b"b"), END)
ok("link_circle.tar", [symlink("a", "b"), symlink("b", "a")])  # never followed here
ok("link_to_the_host.tar", [symlink("self", "/proc/1/root"), symlink("disk", "/dev/sda")])  # in the sandbox's root

# ---- What is not a file, a folder or a link, and what gives rights. ----
for kind, name in ((tarfile.CHRTYPE, "char"), (tarfile.BLKTYPE, "block"),
                   (tarfile.FIFOTYPE, "fifo")):
    refused(f"{name}.tar", "device, pipe or socket", [(info("dev/x", kind), None)])
refused("setuid.tar", "setuid", [file("su", mode=0o4755)])
refused("setgid.tar", "setuid", [file("wall", mode=0o2755)])
refused("setgid_folder.tar", "setuid", [folder("mail", 0o2775)])
refused_bytes("setuid_hardlink.tar", "setuid", FILE, entry(b"b", kind=b"1", link=b"a", mode=0o4755), END)
# Owners, capabilities and ACLs are not taken over.
ok("no_owner_no_caps.tar", [file("ping", pax={
    "SCHILY.xattr.security.capability": "\x01\0\0\x02", "uid": "0", "gid": "0"})])
ok("acl.tar", [file("a", pax={"SCHILY.acl.access": "user::rwx,user:nobody:rwx:65534,group::r--,mask::rwx,other::rwx",
                              "SCHILY.acl.ace": "everyone@:rwxpdDaARWcCos::allow",
                              "SCHILY.fflags": "schg,uchg"})])

# ---- Names. ----
refused("twice.tar", "named twice", [file("a"), file("a", b"other")])
refused("twice_other_spelling.tar", "named twice", [file("a/b"), file("./a//b", b"other")])
refused("folder_twice.tar", "named twice", [folder("a"), folder("a")])
refused("file_over_folder.tar", "named twice", [folder("a"), file("a")])
refused("folder_over_file.tar", "named twice", [file("a"), folder("a")])
refused("root_as_file.tar", "root has to be a folder", [file(".")])
refused("root_as_link.tar", "root has to be a folder", [symlink(".", "etc")])
refused_bytes("empty_name.tar", "root has to be a folder", entry(b"", b"x"), END)
refused_bytes("pax_empty_name.tar", "root has to be a folder", pax([(b"path", b"")]), entry(b"", b"x"), END)
refused("too_long.tar", "too long", [file("/".join(["z" * 200] * 6))])
refused("component_too_long.tar", "too long", [file("x" * 256)])
refused_bytes("megabyte_name.tar", "too large", long_name(b"x" * (1 << 20) + b"\0"), FILE, END)
refused("too_deep.tar", "too deep", [file("d/" * 64 + "file")])
refused("very_deep.tar", "too long or too deep", [file("d/" * 5000 + "file")])
refused("control.tar", "control characters", [file("a\x1b[31mred")])
refused("newline.tar", "control characters", [file("a\nb")])
refused("not_utf8.tar", "UTF-8", [file("\udcff\udcfe")], form=tarfile.GNU_FORMAT)
refused_bytes("overlong_utf8.tar", "UTF-8", entry(b"a\xc0\xaf..\xc0\xafescape", b"x"), END)
refused_bytes("surrogate_utf8.tar", "UTF-8", entry(b"a\xed\xa0\x80", b"x"), END)
refused_bytes("pax_not_utf8.tar", "UTF-8", pax([(b"hdrcharset", b"BINARY"), (b"path", b"\xff\xfe")]), FILE, END)
# Other systems' traps are but characters here; nobody is shown these names unescaped.
ok("other_case.tar", [file("README"), file("readme"), file("ReadMe")])
ok("bidi.tar", [file("photo\u202egnp.sh"), file("zero\u200bwidth")])
ok("other_systems.tar", [file("..\\..\\escape"), file("C:\\escape"), file("con"), file("a:stream")])
ok("dash_names.tar", [file("--checkpoint-action=exec=sh x"), file("$(id)"), file("`id`;")])
# Names are composed (NFC) while they are read, so two forms of one name are one name.
ok("decomposed.tar", [file("e\u0301")])
refused("both_forms.tar", "named twice", [file("\u00e9"), file("e\u0301")])
# A name ends at its NUL.
harmless_bytes("nul_in_name.tar", entry(b"a\0/../../escape", b"x"), END)
harmless_bytes("nul_in_pax_name.tar", pax([(b"path", b"a\0/../../escape")]), entry(b"../b", b"x"), END)
refused_bytes("nul_hides_nothing.tar", "named twice", entry(b"a\0b", b"x"), entry(b"a\0c", b"y"), END)

# ---- Where the sandbox is mounted. ----
refused("in_is_a_link.tar", "/in is not a folder", [symlink("in", "etc"), folder("etc")])
refused("tmp_is_a_link.tar", "/tmp is not a folder", [symlink("tmp", "/in")])
refused("dev_is_a_link.tar", "/dev is not a folder", [symlink("dev", "proc")])
refused("run_is_a_link.tar", "/run is not a folder", [symlink("run", "/etc"), folder("etc")])
refused("proc_is_a_file.tar", "/proc is not a folder", [file("proc")])
refused("manifest_folder_is_a_link.tar", "/run/sallyport is not a folder",
        [folder("run"), symlink("run/sallyport", "/etc")])

# ---- More than there is room for. ----
BOMB = "unpacks to more"
refused("many_entries.tar", "entries", [file(f"f{i}", b"") for i in range(2001)])
refused("many_implicit_folders.tar", "entries", [file(f"{i}/a/b/c/d", b"") for i in range(450)])
refused_bytes("many_links.tar", "entries", FILE,
              *[entry(b"l%d" % i, kind=b"1", link=b"a") for i in range(2001)], END)
save("million_entries.tar.zst", zstd_repeated([header(b"%d" % i) for i in range(2500)], 400), "refused",
     "entries")
save("gzip_bomb.tar.gz", gzip.compress(tar([file(f"z{i}", bytes(9 << 20)) for i in range(8)])),
     "refused", BOMB)
save("gzip_bomb_twice.tar.gz", gzip.compress(gzip.compress(header(b"z", size=1 << 30) + bytes(1 << 26))),
     "refused", BOMB)
save("zstd_bomb.tar.zst", zstd(header(b"z", size=(100 << 30) // 32) + bytes(1 << 27)), "refused", BOMB)
refused_bytes("hundred_gib.tar", BOMB, header(b"big", size=binary(100 << 30)), bytes(BLOCK))
refused_bytes("sum_of_sizes.tar", BOMB, entry(b"a", bytes(1 << 20)), header(b"b", size=63 << 20 | 1), END)
refused_bytes("octal_size.tar", BOMB, header(b"big", size=b"77777777777\0"), END)
refused_bytes("largest_size.tar", "overflow", header(b"big", size=binary((1 << 63) - 1)), END)
refused_bytes("two_largest_sizes.tar", BOMB, header(b"a", size=binary((1 << 62) - BLOCK)),
              header(b"b", size=binary((1 << 63) - BLOCK)), END)
refused_bytes("over_64_bits.tar", "overflow", header(b"big", size=b"\x80\0\0\x7f" + b"\xff" * 8), END)
refused_bytes("pax_size_100_gib.tar", BOMB, pax([(b"size", b"%d" % (100 << 30))]), FILE, END)
refused_bytes("root_many_times.tar.zst", "nothing in it", zstd_repeated([header(b"./", kind=b"5")] * 1000, 100))

# ---- Sizes that lie. ----
refused_bytes("negative_size.tar", "negative", header(b"a", size=binary(-BLOCK)), FILE, END)
refused_bytes("negative_octal.tar", TAR, header(b"a", size=b"-0000000512\0"), END)
refused_bytes("size_is_text.tar", TAR, header(b"a", size=b"many bytes!!"), FILE, END)
refused_bytes("pax_size_negative.tar", "negative", pax([(b"size", b"-1")]), FILE, END)
refused_bytes("pax_size_huge.tar", "overflow", pax([(b"size", b"9" * 20)]), FILE, END)
refused_bytes("pax_size_text.tar", TAR, pax([(b"size", b"0x7")]), FILE, END)
refused_bytes("pax_size_more_than_there_is.tar", TAR, pax([(b"size", b"100000")]), FILE, END)
# Some readers skip what a folder or link claims as content, libarchive reads it as entries: it is held
# to the same rules, but another program's listing may not show it.
harmless_bytes("folder_with_content.tar", header(b"d", kind=b"5", size=BLOCK), FILE, END)
harmless_bytes("symlink_with_content.tar", header(b"l", kind=b"2", link=b"d", size=BLOCK), FILE, END)
refused_bytes("escape_in_a_folder.tar", "climbs", header(b"d", kind=b"5", size=2 * BLOCK), entry(b"../b", b"x"), END)
refused_bytes("hardlink_with_content.tar", TAR, FILE, entry(b"b", b"other", kind=b"1", link=b"a"), END)
refused_bytes("hardlink_with_pax_content.tar", "with content", FILE, pax([(b"size", b"5")]),
              entry(b"b", b"other", kind=b"1", link=b"a"), END)

# ---- Holes. ----
SPARSE = [(b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"), (b"GNU.sparse.name", b"hole")]


def sparse_1_0(realsize, table, data=b""):
    return (pax(SPARSE + [(b"GNU.sparse.realsize", b"%d" % realsize)]) +
            entry(b"s/hole", padded(table) + padded(data)))


def sparse_0_1(realsize, table, data=b""):
    return pax([(b"GNU.sparse.name", b"hole"), (b"GNU.sparse.size", b"%d" % realsize),
                (b"GNU.sparse.numblocks", b"%d" % (table.count(b",") // 2 + 1)),
                (b"GNU.sparse.map", table)]) + entry(b"s/hole", data)


def sparse_0_0(realsize, segments, data=b""):
    numbers = [pair for offset, size in segments
               for pair in ((b"GNU.sparse.offset", offset), (b"GNU.sparse.numbytes", size))]
    return pax([(b"GNU.sparse.size", b"%d" % realsize),
                (b"GNU.sparse.numblocks", b"%d" % len(segments)), *numbers]) + entry(b"hole", data)


harmless_bytes("sparse_1_0.tar", sparse_1_0(1 << 20, b"1\n4096\n4\n", b"data"), END)
harmless_bytes("sparse_0_1.tar", sparse_0_1(1 << 20, b"4096,4", b"data"), END)
harmless_bytes("sparse_0_0.tar", sparse_0_0(1 << 20, [(b"4096", b"4")], b"data"), END)
harmless_bytes("sparse_old.tar", old_sparse(b"hole", 1 << 20, [(4096, 4)], b"data"), END)
TIB, DISK = 1 << 40, (1 << 63) - 1
refused_bytes("sparse_1_0_bomb.tar", BOMB, sparse_1_0(TIB, b"1\n0\n1\n", b"x"), END)
refused_bytes("sparse_0_1_bomb.tar", BOMB, sparse_0_1(TIB, b"0,1", b"x"), END)
refused_bytes("sparse_0_0_bomb.tar", BOMB, sparse_0_0(TIB, [(b"0", b"1")], b"x"), END)
refused_bytes("sparse_old_bomb.tar", BOMB, old_sparse(b"hole", TIB, [(0, 1)], b"x"), END)
refused_bytes("sparse_whole_disk.tar", BOMB, sparse_1_0(DISK, b"1\n9223372036854775806\n1\n", b"x"), END)
refused_bytes("sparse_no_data.tar", BOMB, sparse_1_0(TIB, b"0\n"), END)
refused_bytes("sparse_segment_past_the_end.tar", "more data than its size", sparse_1_0(4096, b"1\n1048576\n4\n", b"data"), END)
refused_bytes("sparse_old_past_the_end.tar", "more data than its size", old_sparse(b"hole", 4096, [(1 << 40, 4)], b"data"), END)
refused_bytes("sparse_negative_offset.tar", TAR, sparse_1_0(4096, b"1\n-4096\n4\n", b"data"), END)
refused_bytes("sparse_old_negative.tar", TAR, old_sparse(b"hole", 4096, [(-4096, 4)], b"data"), END)
refused_bytes("sparse_negative_realsize.tar", BOMB, sparse_1_0(-1, b"1\n0\n4\n", b"data"), END)
refused_bytes("sparse_offset_overflow.tar", TAR,
              sparse_1_0(4096, b"2\n0\n4\n9223372036854775807\n9223372036854775807\n", b"data"), END)
refused_bytes("sparse_too_many_segments.tar", TAR, sparse_1_0(4096, b"99999999\n0\n4\n", b"data"), END)
refused_bytes("sparse_segments_without_number.tar", TAR, sparse_1_0(4096, b"x\n0\n4\n", b"data"), END)
refused_bytes("sparse_extension_cut.tar", TAR, old_sparse(b"hole", 4096, [(0, 4)], b"", size=4, more=1))
# More segments than bytes: a list of empty ones costs memory, never room.
harmless_bytes("sparse_100000_segments.tar",
               sparse_1_0(1 << 20, b"100000\n" + b"".join(b"%d\n0\n" % i for i in range(100000))), END)
# Backwards and twice over the same place: written where it says, within the file.
harmless_bytes("sparse_overlapping.tar", sparse_1_0(8192, b"2\n4096\n4\n4096\n4\n", b"datadata"), END)

# ---- Headers about headers. ----
refused_bytes("pax_length_past_the_end.tar", TAR, pax(b"999999 path=x\n"), FILE, END)
refused_bytes("pax_length_too_short.tar", TAR, pax(b"3 path=x\n"), FILE, END)
refused_bytes("pax_length_zero.tar", TAR, pax(b"0 path=x\n"), FILE, END)
refused_bytes("pax_length_negative.tar", TAR, pax(b"-9 path=x\n"), FILE, END)
refused_bytes("pax_length_missing.tar", TAR, pax(b"path=x\n"), FILE, END)
refused_bytes("pax_without_equals.tar", TAR, pax(b"9 pathx\n"), FILE, END)
refused_bytes("pax_larger_than_the_archive.tar", TAR, header(b"PaxHeader", b"x", size=1 << 30), FILE, END)
refused_bytes("pax_on_pax_on_pax.tar", TAR, pax([(b"comment", b"x")]) * 1000, FILE, END)
refused_bytes("long_names_without_end.tar", TAR, long_name(b"a\0") * 1000, FILE, END)
refused_bytes("pax_for_nothing.tar", TAR, pax([(b"path", b"a")]), END)
refused_bytes("long_name_for_nothing.tar", TAR, long_name(b"a\0"), END)
harmless_bytes("pax_times_and_junk.tar", pax([(b"mtime", b"99999999999999999999.9"), (b"uid", b"-1"),
                                              (b"SCHILY.dev", b"99999999999999"), (b"VENDOR.x", b"y" * 9999)]),
               FILE, END)
XATTR = b"SCHILY.xattr.user."
harmless_bytes("xattr_30000.tar", pax(b"".join(record(XATTR + b"%d" % i, b"x") for i in range(30000))), FILE, END)
harmless_bytes("xattr_large.tar", pax([(XATTR + b"x", b"y" * 900000)]), FILE, END)
refused_bytes("xattr_bomb.tar.zst", TAR, zstd(pax([(XATTR + b"x", b"y" * (64 << 20))]) + FILE + END))
harmless_bytes("acl_3000.tar", pax([(b"SCHILY.acl.access", b",".join(
    b"user:u%d:rwx:%d" % (i, i) for i in range(3000)))]), FILE, END)
# A global header would rename whatever follows for readers that honour it. This one's does not.
harmless_bytes("pax_global_path.tar", pax([(b"path", b"../escape"), (b"linkpath", b"/etc")], b"g"), FILE, END)
# A volume's label is no entry; the middle of a file is one that no whole archive has.
refused_bytes("only_a_label.tar", "nothing in it", header(b"label", b"V", gnu=b""), END)
refused_bytes("middle_of_a_file.tar", "device, pipe or socket", entry(b"a", b"rest", kind=b"M", gnu=b""), END)
# POSIX has a reader take types it does not know for files.
harmless_bytes("unknown_type.tar", entry(b"a", b"x", kind=b"Z"), END)

# ---- Not wholly an archive. ----
ONE = entry(b"one", bytes(range(256)) * 20)
refused_bytes("empty.tar", TAR)
refused_bytes("no_entries.tar", "nothing in it", bytes(10240))
refused_bytes("only_the_root.tar", "nothing in it", tar([folder("./")]))
refused_bytes("text.tar", TAR, b"this is no archive\n" * 100)
refused_bytes("checksum.tar", TAR, bytes([1]) + tar(PLAIN)[1:])
refused_bytes("second_checksum.tar", TAR, FILE, b"X" + FILE[1:], END)
refused_bytes("cut_in_header.tar", TAR, FILE, ONE[:300])
refused_bytes("cut_after_header.tar", TAR, FILE, ONE[:BLOCK])
refused_bytes("cut_in_content.tar", TAR, FILE, ONE[:3000])
refused_bytes("cut_in_pax_header.tar", TAR, pax([(b"path", b"a" * 200)])[:300])
refused_bytes("cut_in_pax_content.tar", TAR, pax([(b"path", b"a" * 2000)])[:BLOCK + 100])
refused_bytes("cut_after_pax.tar", TAR, pax([(b"path", b"a")]))
refused_bytes("cut_in_long_name.tar", TAR, long_name(b"a" * 900)[:BLOCK + 100])
refused_bytes("cut_in_sparse_table.tar", TAR, sparse_1_0(4096, b"300\n" + b"0\n1\n" * 200)[:-600])
GZ, ZST = gzip.compress(ONE + END), zstd(ONE + END, "--check")
refused_bytes("gzip_cut_in_header.tar.gz", TAR, GZ[:9])
refused_bytes("gzip_cut.tar.gz", TAR, gzip.compress(tar([file("a", os.urandom(50000))]))[:20000])
refused_bytes("gzip_cut_late.tar.gz", TAR, gzip.compress(ONE + os.urandom(99999))[:-50000])
refused_bytes("zstd_cut.tar.zst", TAR, zstd(tar([file("a", os.urandom(50000))]))[:-20000])
refused_bytes("zstd_broken.tar.zst", TAR, zstd(tar([file("a", os.urandom(50000))]))[:-20000] + b"\xff" * 20000)
refused_bytes("zstd_wrong_checksum.tar.zst", TAR, ZST[:-1] + bytes([ZST[-1] ^ 1]))
# What comes after the end is not read, by anybody: not as entries, not as anything.
harmless_bytes("trailing_garbage.tar", tar(PLAIN), b"garbage" * 1000)
harmless_bytes("concatenated.tar", FILE, END, entry(b"../escape", b"x"), END)
harmless_bytes("gzip_then_garbage.tar.gz", GZ, b"garbage" * 1000)

# ---- Packed in odd ways. ----
HALF = len(ONE) // 2
harmless_bytes("gzip_members.tar.gz", gzip.compress(ONE[:HALF]), gzip.compress(ONE[HALF:] + END))
refused_bytes("gzip_members_escape.tar.gz", "climbs", gzip.compress(ONE), gzip.compress(entry(b"../b", b"x") + END))
harmless_bytes("zstd_frames.tar.zst", zstd(ONE[:HALF]), zstd(ONE[HALF:] + END))
harmless_bytes("zstd_skippable.tar.zst", skippable(b"hello"), ZST)
harmless_bytes("zstd_skippable_between.tar.zst", zstd(ONE[:HALF]), skippable(b"x" * 70000), zstd(ONE[HALF:] + END))
refused_bytes("zstd_skippable_4_gib.tar.zst", TAR, skippable(b"hello", (1 << 32) - 1), ZST)
harmless_bytes("zstd_window_64_mib.tar.zst", zstd_frame(ONE + END, 26))
refused_bytes("zstd_window_2_gib.tar.zst", TAR, zstd_frame(ONE + END, 31))
refused_bytes("zstd_window_2_tib.tar.zst", TAR, zstd_frame(ONE + END, 41))
harmless_bytes("packed_twice.tar.gz", gzip.compress(zstd(ONE + END)))  # each layer in the same confinement
NEST = ONE + END
for _ in range(40):
    NEST = gzip.compress(NEST)
refused_bytes("packed_40_times.tar.gz", "too many filters", NEST)

# ---- Formats that libarchive knows and nobody enabled. ----
NOT_ENABLED = {
    "xz": lzma.compress(ONE + END), "lzma": lzma.compress(ONE + END, lzma.FORMAT_ALONE),
    "bz2": bz2.compress(ONE + END), "Z": b"\x1f\x9d\x90" + ONE, "lz4": b"\x04\x22\x4d\x18\x64\x40\xa7" + ONE,
    "lzip": b"LZIP\x01\x0c" + ONE, "lzo": b"\x89LZO\0\r\n\x1a\n" + ONE,
    "uu": b"begin 644 a\n" + ONE, "rpm": b"\xed\xab\xee\xdb\x03\0" + ONE,
    "cpio": b"070701" + b"0" * 104 + b"TRAILER!!!\0" + bytes(512),
    "cpio_old": b"070707" + b"0" * 70 + b"TRAILER!!!\0" + bytes(512),
    "7z": b"7z\xbc\xaf\x27\x1c\0\x04" + bytes(600), "rar": b"Rar!\x1a\x07\0" + bytes(600),
    "rar5": b"Rar!\x1a\x07\x01\0" + bytes(600), "cab": b"MSCF" + bytes(600),
    "ar": b"!<arch>\n" + b"a/".ljust(16) + b"0".ljust(32) + b"7".ljust(10) + b"`\ncontent\n" + bytes(512),
    "mtree": b"#mtree\n./a type=file contents=/etc/shadow\n" * 20,
    "shar": b"#!/bin/sh\n# This is a shell archive\n" + b"echo hi\n" * 99,
    "warc": b"WARC/1.0\r\nWARC-Type: resource\r\n\r\n" + bytes(600),
    "iso": bytes(32768) + b"\x01CD001\x01" + bytes(4096), "lha": b"\x20\x00-lh5-" + bytes(600),
    "xar": b"xar!\0\x1c\0\x01" + bytes(600),
}
ZIP = io.BytesIO()
with zipfile.ZipFile(ZIP, "w") as archive:
    archive.writestr("../escape", "x")
NOT_ENABLED["zip"] = ZIP.getvalue()
for name, content in NOT_ENABLED.items():
    refused_bytes(f"format.{name}", "nothing in it" if name == "iso" else TAR, content)
refused_bytes("xz_in_gzip.tar.gz", TAR, gzip.compress(lzma.compress(ONE + END)))

# ---- For a test of its own: the lists are read in time that grows with their square. ----
with open(os.path.join(FOLDER, "slow.tar"), "wb") as out:
    out.write(b"".join(pax([(b"SCHILY.acl.access", b",".join(b"user:u%d:rwx:%d" % (i, i) for i in range(40000)))]) +
                       entry(b"%d" % n) for n in range(20)) + END)

with open(os.path.join(FOLDER, "index"), "w", encoding="utf-8") as index:
    index.write("\n".join(INDEX) + "\n")
