# SPDX-License-Identifier: Apache-2.0
"""Building blocks of archives.py. `tar()` writes what a well-meaning program would; the others put
headers together byte by byte, for what no such program writes."""

import io
import struct
import subprocess
import tarfile
import threading

BLOCK = 512
END = bytes(2 * BLOCK)


# ---- as a well-meaning program writes it ----

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


# ---- byte by byte ----

def padded(data):
    return data + bytes(-len(data) % BLOCK)


def octal(number, width):
    return b"%0*o\0" % (width - 1, number)


def binary(number, width=12):
    """GNU's base-256 form of a number."""
    return (number % (1 << 8 * width) | 1 << (8 * width - 1)).to_bytes(width, "big")


def header(name, kind=b"0", size=0, mode=0o644, link=b"", prefix=b"", gnu=None):
    """One header block, with the right checksum whatever is in it. `size` may be the field's bytes;
    `gnu` is what stands from offset 345 on in GNU's own form."""
    block = bytearray(BLOCK)

    def put(offset, field):
        block[offset:offset + len(field)] = field
    put(0, name[:100])
    put(100, octal(mode, 8) + octal(0, 8) * 2)
    put(124, size if isinstance(size, bytes) else octal(size, 12))
    put(136, octal(0, 12))
    put(156, kind)
    put(157, link[:100])
    put(257, b"ustar\x0000" if gnu is None else b"ustar  \0")
    put(345, prefix if gnu is None else gnu)
    put(148, b" " * 8)
    put(148, b"%06o\0 " % sum(block))
    return bytes(block)


def entry(name, content=b"", **more):
    """A header and its content, whose size is the content's unless said otherwise."""
    return header(name, **{"size": len(content), **more}) + padded(content)


def record(key, value):
    """One record of a pax header, with its own length in front."""
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest)
    while length != len(rest) + len(str(length)):
        length = len(rest) + len(str(length))
    return str(length).encode() + rest


def pax(records, kind=b"x"):
    """A pax header: raw bytes, or (key, value)s."""
    if not isinstance(records, bytes):
        records = b"".join(record(key, value) for key, value in records)
    return entry(b"PaxHeader", records, kind=kind)


def long_name(text, kind=b"L"):
    """GNU's way to a long name (L) or link target (K)."""
    return entry(b"././@LongLink", text, kind=kind, gnu=b"")


def old_sparse(name, realsize, segments, content=b"", size=None, more=0):
    """GNU's first sparse form: type S, up to four segments in the header."""
    table = b"".join(binary(number) for segment in segments for number in segment)
    gnu = bytes(386 - 345) + table.ljust(96, b"\0") + bytes([more]) + binary(realsize)
    return header(name, b"S", len(content) if size is None else size, gnu=gnu) + padded(content)


# ---- packing ----

def zstd(data, *options):
    return subprocess.run(["zstd", "-q", "-c", *options], input=data, stdout=subprocess.PIPE,
                          check=True).stdout


def zstd_repeated(blocks, times):
    """The blocks this many times over, never all of them in memory."""
    with subprocess.Popen(["zstd", "-q", "-c", "-1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        reader = threading.Thread(target=lambda: packed.append(process.stdout.read()))
        packed = []
        reader.start()
        for _ in range(times):
            process.stdin.write(b"".join(blocks))
        process.stdin.close()
        reader.join()
    assert process.returncode == 0
    return packed[0]


def zstd_frame(data, window_log):
    """A frame that declares this window; its blocks are stored as they are."""
    frame = struct.pack("<IBB", 0xFD2FB528, 0, window_log - 10 << 3)
    blocks = [data[at:at + (1 << 17)] for at in range(0, len(data), 1 << 17)] or [b""]
    for number, block in enumerate(blocks):
        last = number + 1 == len(blocks)
        frame += (len(block) << 3 | last).to_bytes(3, "little") + block
    return frame


def skippable(data, size=None):
    """A zstd frame that decoders skip."""
    return struct.pack("<II", 0x184D2A50, len(data) if size is None else size) + data
