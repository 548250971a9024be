# SPDX-License-Identifier: Apache-2.0
"""Waiting for a condition with a deadline; the only way a scenario waits."""

import time

PAUSE_FIRST = 0.02
PAUSE_MAX = 0.25


class Hopeless(Exception):
    """What is waited for can never come; a probe raises it to end the waiting at once."""


def until(seconds, what, probe):
    """The first true value of probe(); an AssertionError that says `what` once the time is over.

    A probe that raises AssertionError says no, and its words are part of the complaint."""
    deadline = time.monotonic() + seconds
    pause = PAUSE_FIRST
    while True:
        complaint = None
        try:
            value = probe()
        except AssertionError as error:
            value, complaint = None, error
        if value:
            return value
        if time.monotonic() >= deadline:
            seen = complaint if complaint is not None else repr(value)
            raise AssertionError(f"not within {seconds} s: {what} (last seen: {seen})")
        time.sleep(pause)
        pause = min(pause * 2, PAUSE_MAX)
