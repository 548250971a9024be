# SPDX-License-Identifier: Apache-2.0
"""The daemons as processes: started, watched, stopped and killed."""

import http.client
import json
import os
import pathlib
import shutil
import signal
import subprocess

from support import host, wait

READY_SECONDS = 90
STOP_SECONDS = 60
SANITIZERS = ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "runtime error:", "UndefinedBehaviorSanitizer",
              "WARNING: ThreadSanitizer")
SANITIZER_OPTIONS = {
    "ASAN_OPTIONS": "halt_on_error=1:detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1",
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
}


def environment():
    """Nothing of ours but what the sanitizers are told."""
    told = {name: os.environ.get(name, value) for name, value in SANITIZER_OPTIONS.items()}
    return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", **told}


def sanitizer_report(text):
    """From the first line a sanitizer wrote on; None if none did."""
    places = [text.find(word) for word in SANITIZERS if word in text]
    return text[max(0, min(places) - 200):][:6000] if places else None


def sanitizer_hangs(pid):
    """True if the process is past its own end and LeakSanitizer, which then traces it from a thread of its own making, does
    not come back: seen with gcc 12 once in some hundred stops on a busy machine. Nobody else traces a daemon."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    tracer = int(next(line for line in status.splitlines() if line.startswith("TracerPid:")).split()[1])
    return tracer != 0 and os.readlink(f"/proc/{tracer}/exe") == os.readlink(f"/proc/{pid}/exe")


def where_it_stands(pid):
    """What each thread of a process that hangs waits for: its stack, where there is a debugger, else its system call."""
    if shutil.which("gdb") is not None:
        seen = subprocess.run(["gdb", "-p", str(pid), "-batch", "-ex", "thread apply all backtrace 15"], timeout=60,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        return seen.stdout.decode(errors="replace")[-12000:]
    lines = []
    for task in sorted(pathlib.Path(f"/proc/{pid}/task").iterdir()):
        try:
            lines.append(f"{task.name} {(task / 'comm').read_text().strip()}: {(task / 'syscall').read_text().strip()}")
        except OSError:
            continue  # it has just ended
    return "\n".join(lines)


class Daemon:
    """One `sallyportd ROLE`. `dead` is what we made it: a daemon that ends by itself has failed."""

    def __init__(self, program, role, name, folder, flags):
        self.role, self.name = role, name
        self.flags = dict(flags)
        self.env = {}  # beside what every program of ours is told
        self.ops_port = host.free_port()
        self.port = host.free_port() if role == "api" else None
        self.log_path = os.path.join(folder, f"{name}.log")
        self.program = program
        self.process = None
        self.dead = True
        self.starts = 0

    def start(self):
        """Again, after it was stopped or killed: the same ports, the same settings, the same log."""
        assert self.dead, f"{self.name} runs already"
        flags = {"ops-listen": f"127.0.0.1:{self.ops_port}", **self.flags}
        if self.role == "api":
            flags["listen"] = f"127.0.0.1:{self.port}"
        words = [f"--{name}={value}" for name, value in flags.items()]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(["setpriv", "--pdeathsig=KILL", self.program, self.role, *words],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env={**environment(), **self.env}, cwd="/", start_new_session=True)
        self.dead = False
        self.starts += 1
        return self

    def ready(self, seconds=READY_SECONDS):
        wait.until(seconds, f"{self.name} is ready", self.is_ready)
        return self

    def is_ready(self):
        if not self.alive():
            raise wait.Hopeless(f"{self.name} ended with {self.process.returncode}:\n{self.log()[-3000:]}")
        return self.ops("/readyz")[0] == 200

    def ops(self, path):
        """(status, body) of its operations listener; (0, "") where nobody listens."""
        connection = http.client.HTTPConnection("127.0.0.1", self.ops_port, timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except (OSError, http.client.HTTPException):
            return 0, ""
        finally:
            connection.close()

    @property
    def pid(self):
        return self.process.pid

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def log(self):
        try:
            with open(self.log_path, encoding="utf-8", errors="replace") as log:
                return log.read()
        except FileNotFoundError:
            return ""

    def said(self, message):
        """The log's lines with that message, parsed."""
        found = []
        for line in self.log().splitlines():
            if f'"{message}"' in line:
                found.append(json.loads(line))
        return found

    def signal(self, number):
        self.process.send_signal(number)

    def pause(self):
        """As a host that stalls: it does nothing, and learns nothing."""
        self.signal(signal.SIGSTOP)

    def resume(self):
        self.signal(signal.SIGCONT)

    def kill(self):
        """SIGKILL, reaped."""
        self.signal(signal.SIGKILL)
        self.process.wait(STOP_SECONDS)
        self.dead = True

    def terminate(self):
        """SIGTERM, once: a second one means at once."""
        self.signal(signal.SIGTERM)
        self.signal(signal.SIGCONT)
        self.dead = True

    def ended(self, seconds=STOP_SECONDS):
        """It must end by itself, in time, with exit code 0 and without leaks."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            left = sanitizer_hangs(self.process.pid)
            where = "" if left else where_it_stands(self.process.pid)
            self.process.kill()
            self.process.wait(STOP_SECONDS)
            if left:
                print(f"       LeakSanitizer hung at the end of {self.name}: its leaks are not known")
                return
            raise AssertionError(f"{self.name} did not stop within {seconds} s of SIGTERM\n{where}") from None
        assert code == 0, f"{self.name} ended with {code}:\n{self.log()[-3000:]}"

    def stop(self, seconds=STOP_SECONDS):
        if self.dead:
            return
        if self.alive():
            self.terminate()
        self.dead = True
        self.ended(seconds)

    def complaint(self):
        """What is wrong with it now, None if nothing is."""
        report = sanitizer_report(self.log())
        if report is not None:
            return f"{self.name}: a sanitizer reports\n{report}"
        if not self.dead and not self.alive():
            return f"{self.name} died by itself with {self.process.returncode}:\n{self.log()[-3000:]}"
        return None
