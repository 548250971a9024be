# SPDX-License-Identifier: Apache-2.0
"""Between a daemon and PostgreSQL: counts what the daemon asks, and at the question that it is told of does what
it is told, before the server sees the question or after it has answered but before the daemon hears of it."""

import os
import socket
import struct
import threading

PORT = 5432
QUERY, SYNC = b"Q", b"S"


class Proxy:
    """Listens on a Unix socket in `folder`; `target` is the server's."""

    def __init__(self, folder, target):
        self.folder, self.target = folder, target
        self.lock = threading.Lock()
        self.steps, self.at, self.late, self.act = 0, 0, False, None
        self.fired = threading.Event()
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        os.makedirs(folder, exist_ok=True)
        self.listener.bind(os.path.join(folder, f".s.PGSQL.{PORT}"))
        self.listener.listen(8)
        threading.Thread(target=self.accept, daemon=True).start()

    def arm(self, at, late, act):
        """From now on: at question number `at` (0: never) call act(), `late` after the server's answer."""
        with self.lock:
            self.steps, self.at, self.late, self.act = 0, at, late, act
            self.fired.clear()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                server.connect(self.target)
            except OSError:
                client.close()
                server.close()
                continue
            hold = threading.Event()
            for run, ends in ((self.questions, (client, server)), (self.answers, (server, client))):
                threading.Thread(target=self.carry, args=(run, *ends, hold), daemon=True).start()

    @staticmethod
    def carry(run, source, sink, hold):
        try:
            run(source, sink, hold)
        except (OSError, EOFError):
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def fire(self):
        act, self.act = self.act, None
        if act is not None:
            act()
            self.fired.set()
        raise EOFError

    def is_it(self):
        with self.lock:
            self.steps += 1
            return self.steps == self.at and self.act is not None

    def questions(self, client, server, hold):
        """Whole messages: the startup packet has no type."""
        size = read(client, 4)
        server.sendall(size + read(client, struct.unpack(">i", size)[0] - 4))
        while True:
            head = read(client, 5)
            body = read(client, struct.unpack(">i", head[1:])[0] - 4)
            if head[:1] in (QUERY, SYNC) and self.is_it():
                if not self.late:
                    self.fire()
                hold.set()
            server.sendall(head + body)

    def answers(self, server, client, hold):
        while True:
            data = server.recv(65536)
            if not data:
                raise EOFError
            if hold.is_set():
                self.fire()
            client.sendall(data)

    def close(self):
        self.listener.close()


def read(source, count):
    data = b""
    while len(data) < count:
        more = source.recv(count - len(data))
        if not more:
            raise EOFError
        data += more
    return data
