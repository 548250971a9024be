# SPDX-License-Identifier: Apache-2.0
"""Callers that go on submitting while the world around them breaks."""

import http.client
import threading

from support import wait


class Load:
    """Threads that submit signed jobs until told to stop, each token until it has an answer that counts.

    `accepted` is what was promised: token -> id of every 200 or 202. Lost connections and 503 are what a
    caller has to live with: it sends the same token again."""

    def __init__(self, world, make_token, threads=4):
        self.world, self.make_token = world, make_token
        self.accepted, self.failures = {}, []
        self.answers = {}
        self.stopping = threading.Event()
        self.lock = threading.Condition()
        self.begun = self.allowed = 0
        world.caller("submitter"), world.signer()
        self.threads = [threading.Thread(target=self.work, daemon=True) for _ in range(threads)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, kind, *_):
        self.stopping.set()
        self.allow(0)
        for thread in self.threads:
            thread.join(120)
        if kind is None:
            assert not any(thread.is_alive() for thread in self.threads), "a caller never got an answer"
            assert not self.failures, self.failures[:3]

    def work(self):
        try:
            while True:
                with self.lock:
                    self.lock.wait_for(lambda: self.begun < self.allowed or self.stopping.is_set())
                    if self.begun >= self.allowed:
                        return
                    self.begun += 1
                    number = self.begun
                self.deliver(self.make_token(number))
        except Exception as error:
            self.failures.append(repr(error))

    def deliver(self, token):
        """Until it is accepted, at most for a minute."""
        def attempt():
            try:
                answer = self.world.submit(token)
            except (OSError, http.client.HTTPException):
                self.note("lost")
                return False
            self.note(answer.status)
            if answer.status == 503:
                return False
            answer.expect(200, 202)
            with self.lock:
                self.accepted[token] = answer.json["id"]
            return True
        wait.until(60, "a job is accepted", attempt)

    def note(self, what):
        with self.lock:
            self.answers[what] = self.answers.get(what, 0) + 1

    def allow(self, count):
        """So many jobs may be begun in all, and no more: a sandbox takes longer than a submission."""
        with self.lock:
            self.allowed = max(self.allowed, count)
            self.lock.notify_all()

    def reaches(self, count, seconds=60):
        """Waits until so many jobs are accepted."""
        wait.until(seconds, f"{count} jobs are accepted", lambda: self.failures or len(self.accepted) >= count)
        assert not self.failures, self.failures[:3]
