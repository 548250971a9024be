# SPDX-License-Identifier: Apache-2.0
"""For the benches of content: large files, the least that moving them costs (sha256sum, and COPY of the same
1 MiB rows by psql), and what a process held at most."""

import os
import re
import struct
import subprocess
import threading
import time
import uuid

from support import postgres

CHUNK = 1024 * 1024
TENANT = "main"
SIGNATURE = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)


def random_file(path, mib):
    with open(path, "wb") as file:
        for _ in range(mib):
            file.write(os.urandom(CHUNK))
    return path


def timed(function, *arguments):
    started = time.monotonic()
    value = function(*arguments)
    return time.monotonic() - started, value


def sha256sum(path):
    done = subprocess.run(["sha256sum", path], capture_output=True, text=True, check=True)
    return "sha256:" + done.stdout.split()[0]


def openssl_sha256(path):
    """The same by a library that uses the processor's own instructions, as our programs do."""
    subprocess.run(["openssl", "dgst", "-sha256", path], stdout=subprocess.DEVNULL, check=True)


def peak_mib(pid):
    """The most this process has held so far; 0 once it has ended."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as status:
            return int(re.search(r"VmHWM:\s+(\d+) kB", status.read())[1]) / 1024
    except (OSError, TypeError):
        return 0


class Peak:
    """Looks at a program's peak every 20 ms until it ends: the kernel forgets it then."""

    def __init__(self, process):
        self.process, self.mib = process, 0
        self.thread = threading.Thread(target=self.look)
        self.thread.start()

    def look(self):
        while self.process.poll() is None:
            self.mib = max(self.mib, peak_mib(self.process.pid))
            time.sleep(0.02)

    def value(self):
        self.thread.join()
        return self.mib


def make_table(db):
    """One like blob_chunk, without its keys to other tables."""
    db.sql("CREATE TABLE bench_chunk (blob_id uuid, n integer, tenant_id text NOT NULL, data bytea NOT NULL,"
           " PRIMARY KEY (blob_id, n)); ALTER TABLE bench_chunk ALTER COLUMN data SET STORAGE EXTERNAL")


def psql(db, text, **pipes):
    command = postgres.psql_command(db.conninfo()) + ["--command", text]
    return subprocess.Popen(command, env=postgres.environment(), cwd="/", **pipes)


def field(data):
    return struct.pack(">i", len(data)) + data


def copy_in(db, path):
    """The file as rows of 1 MiB, by one COPY in binary."""
    blob = uuid.uuid4()
    process = psql(db, "COPY sallyport.bench_chunk FROM STDIN (FORMAT binary)", stdin=subprocess.PIPE)
    with open(path, "rb", buffering=0) as file, process.stdin as rows:
        rows.write(SIGNATURE)
        n = 0
        while data := file.read(CHUNK):
            head = struct.pack(">h", 4) + field(blob.bytes) + field(struct.pack(">i", n)) + field(TENANT.encode())
            rows.write(head + struct.pack(">i", len(data)))
            rows.write(data)
            n += 1
        rows.write(struct.pack(">h", -1))
    assert process.wait() == 0, "COPY failed"
    return blob


def copy_out(db, blob):
    """Those rows in order by one COPY in binary, thrown away."""
    process = psql(db, f"COPY (SELECT data FROM sallyport.bench_chunk WHERE blob_id = '{blob}' ORDER BY n)"
                       " TO STDOUT (FORMAT binary)", stdout=subprocess.DEVNULL)
    assert process.wait() == 0, "COPY failed"
