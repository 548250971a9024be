# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL for scenarios: somebody's throwaway cluster or one of our own, a database for each
world in it, and psql for what an attacker with the database in hand would do."""

import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
import tempfile

from support import host, wait

BIN = "/usr/lib/postgresql/15/bin"
PORT = 5432
COLUMN, ROW = "\x1f", "\x1e"
ROLES = ("sallyport_api", "sallyport_worker", "sallyport_ledger", "sallyport_read")
ERROR = re.compile(r"(?:ERROR|FATAL):  ([0-9A-Z]{5}): (.*)")


class SqlError(Exception):
    """A statement the server refused; `state` is its SQLSTATE."""

    def __init__(self, text):
        found = ERROR.search(text)
        self.state = found[1] if found else ""
        super().__init__(found[0] if found else text.strip())


def psql_command(conninfo):
    return ["psql", "--no-psqlrc", "--quiet", "--no-align", "--tuples-only", f"--field-separator={COLUMN}",
            f"--record-separator={ROW}", "--set=ON_ERROR_STOP=1", "--set=VERBOSITY=verbose", f"--dbname={conninfo}"]


def environment(options=""):
    return {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "PGOPTIONS": options, "PGCONNECT_TIMEOUT": "20",
            "PGAPPNAME": "scenario"}


class Cluster:
    """A running server. `superuser` is a conninfo whose user may do everything."""

    def __init__(self, superuser):
        self.superuser = superuser

    def conninfo(self, role, database):
        """A later keyword takes the place of an earlier one."""
        return f"{self.superuser} dbname={database} user={role}"

    def sql(self, text, database="postgres", role="postgres", options=""):
        """The rows of the last statement, as lists of text; all of `text` is one transaction."""
        done = subprocess.run(psql_command(self.conninfo(role, database)) + ["--single-transaction", "--file=-"],
                              input=text, env=environment(options), capture_output=True, text=True, timeout=120,
                              cwd="/", check=False)
        if done.returncode != 0:
            raise SqlError(done.stderr)
        return [row.split(COLUMN) for row in done.stdout.rstrip("\n").split(ROW) if row]

    def command(self, text):
        """One statement that no transaction may surround."""
        done = subprocess.run(psql_command(self.superuser) + ["--command=" + text], env=environment(),
                              capture_output=True, text=True, timeout=120, cwd="/", check=False)
        if done.returncode != 0:
            raise SqlError(done.stderr)

    def close(self):
        """Nothing: it is somebody else's."""


class PrivateCluster(Cluster):
    """A server of our own on a Unix socket in a short temporary folder, gone with it."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="sp-pg-", dir="/tmp")
        self.user = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
        self.process = None
        if self.user is not None:
            os.chown(self.folder, self.user.pw_uid, self.user.pw_gid)
        super().__init__(f"host={self.folder} port={PORT} dbname=postgres user=postgres")
        try:
            self.make()
            self.start()
        except BaseException:
            self.close()
            raise

    def as_owner(self, *command):
        if self.user is None:
            return list(command)
        return ["setpriv", f"--reuid={self.user.pw_uid}", f"--regid={self.user.pw_gid}", "--init-groups",
                "--pdeathsig=KILL", *command]

    def make(self):
        data = os.path.join(self.folder, "data")
        subprocess.run(self.as_owner(f"{BIN}/initdb", f"--pgdata={data}", "--username=postgres", "--auth=trust",
                                     "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"),
                       env=environment(), stdout=subprocess.DEVNULL, cwd="/", timeout=120, check=True)

    def start(self):
        with open(os.path.join(self.folder, "log"), "ab") as log:
            self.process = subprocess.Popen(
                self.as_owner(f"{BIN}/postgres", "-D", os.path.join(self.folder, "data"), "-F", "-c",
                              "listen_addresses=", "-c", f"port={PORT}", "-c",
                              f"unix_socket_directories={self.folder}", "-c", "unix_socket_permissions=0700",
                              "-c", "max_connections=200", "-c", "shared_buffers=64MB", "-c", "timezone=UTC"),
                env=environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/")
        wait.until(60, "PostgreSQL answers", self.answers)

    def answers(self):
        if self.process.poll() is not None:
            raise wait.Hopeless(f"PostgreSQL ended with {self.process.returncode}: {self.log_tail()}")
        return subprocess.run([f"{BIN}/pg_isready", "-q", "-h", self.folder, "-p", str(PORT)], env=environment(),
                              cwd="/", timeout=30, check=False).returncode == 0

    def log_tail(self):
        with open(os.path.join(self.folder, "log"), encoding="utf-8", errors="replace") as log:
            return log.read()[-2000:]

    def stop(self, how=signal.SIGINT):
        """SIGINT: at once, in order. SIGQUIT: as a crash would, with recovery at the next start."""
        if self.process is None:
            return
        self.process.send_signal(how)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)
        self.process = None

    def crash(self):
        """Every process of the server is killed, the first one first: as where the host loses power, but for its files."""
        pids = [self.process.pid, *host.children(self.process.pid)]
        for pid in pids:
            host.kill(pid)
        self.process.wait(60)
        self.process = None
        wait.until(60, "the server's processes are gone", lambda: not any(host.is_alive(pid) for pid in pids))

    def close(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


class Session:
    """A psql that stays, to hold a transaction open."""

    def __init__(self, conninfo):
        self.process = subprocess.Popen(psql_command(conninfo), env=environment(), stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd="/")

    def sql(self, text):
        """Returns when the statements are done."""
        mark = secrets.token_hex(8)
        self.process.stdin.write(f"{text}\n\\echo {mark}\n")
        self.process.stdin.flush()
        said = []
        for line in self.process.stdout:
            if line.strip().endswith(mark):
                return
            said.append(line)
        raise SqlError("".join(said))

    def close(self):
        """Ends the session; an open transaction is rolled back."""
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(30)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Database:
    """A fresh database of a cluster, dropped by close()."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.name = "sallyport_test_" + secrets.token_hex(6)
        cluster.command(f"CREATE DATABASE {self.name}")

    def conninfo(self, role="postgres"):
        return self.cluster.conninfo(role, self.name)

    def sql(self, text, role="postgres", tenants=None, options=""):
        """As Cluster.sql(), with the schema in the path; `tenants` are those the transaction acts for."""
        scope = ""
        if tenants is not None:
            scope = "SET LOCAL sallyport.tenants = '{" + ",".join(tenants) + "}';\n"
        return self.cluster.sql(f"SET LOCAL search_path = sallyport, pg_temp;\n{scope}{text}", self.name, role, options)

    def value(self, text, **how):
        """The one value of the one row."""
        rows = self.sql(text, **how)
        assert len(rows) == 1 and len(rows[0]) == 1, f"expected one value of {text!r}, got {rows}"
        return rows[0][0]

    def count(self, what, **how):
        return int(self.value(f"SELECT count(*) FROM {what}", **how))

    def refuses(self, text, state, **how):
        """The statement must fail, and for that reason."""
        try:
            self.sql(text, **how)
        except SqlError as error:
            assert error.state == state, f"{text!r} as {how}: expected {state}, got {error}"
            return
        raise AssertionError(f"{text!r} as {how} was not refused")

    def refuses_all(self, statements, state, **how):
        """Each of the statements must fail, and for that reason; in one session."""
        quoted = ",".join("$st$" + statement + "$st$" for statement in statements)
        self.sql(f"""DO $do$
            DECLARE
                statement text;
                seen text;
            BEGIN
                FOREACH statement IN ARRAY ARRAY[{quoted}] LOOP
                    BEGIN
                        EXECUTE statement;
                        seen := 'no error';
                    EXCEPTION WHEN OTHERS THEN
                        seen := SQLSTATE;
                    END;
                    IF seen <> '{state}' THEN
                        RAISE EXCEPTION '% gave %, expected {state}', statement, seen;
                    END IF;
                END LOOP;
            END $do$""", **how)

    def session(self, role="postgres"):
        session = Session(self.conninfo(role))
        session.sql("SET search_path = sallyport, pg_temp;")
        return session

    def close(self):
        self.cluster.command(f"DROP DATABASE IF EXISTS {self.name} WITH (FORCE)")
