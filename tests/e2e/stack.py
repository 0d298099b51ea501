"""A whole stack in a test: starts it on free ports, kills what a test names, reads what it logged.

    with Stack() as stack:
        stack.create_tenant("acme")
        with stack.connect("acme") as connection:
            connection.execute("select 1")

At its end the block fails if any process logged WARNING or above that the test did not declare
with `expect_log`.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import psycopg

from cli.admin_client import AdminClient
from cli.connection_url import connection_url
from cli.passwords import make_verifier
from cli.running_stack import RunningStack
from runtime.os_priority import REALTIME_GUARD, may_run_realtime
from runtime.os_process import is_running

ROOT = Path(__file__).parents[2]
USER = "app"
PASSWORD = "secret"
START_S_MAX = 60.0
STOP_S_MAX = 40.0
_SERIOUS = ("WARNING", "ERROR", "CRITICAL")
# What every kill -9 of ours makes the others say.
KILL_EVENTS = (
    "process_died",
    "sql_process_crashed",
    "sql_process_lost",
    "login_lookup_timed_out",
    "control_connection_failed",
    "process_killed",
)
# What is said at each start on a machine that lets nobody be real-time.
UNAVOIDABLE_EVENTS = () if may_run_realtime(REALTIME_GUARD) else ("realtime_off",)


class Stack:
    """A stack on a data directory of its own, from __enter__ to __exit__."""

    def __init__(self, *, data_dir=None, config="", arguments=(), environment=None):
        self._given_data_dir = data_dir
        self._config = config
        self._arguments = list(arguments)
        self._environment = dict(environment or {})
        self._expected = set()
        self._passwords = {}
        self.process = None

    # -- life

    def __enter__(self):
        self._temp = tempfile.TemporaryDirectory(prefix="insula-test-")
        self.folder = Path(self._temp.name)
        self.data_dir = Path(self._given_data_dir or self.folder / "data")
        self.ready_file = self.folder / "ready.json"
        self.log_file = self.folder / "log"
        try:
            self.start()
        except BaseException:
            sys.stderr.write(self.log_file.read_text()[-20_000:])
            self._end()
            raise
        return self

    def __exit__(self, kind, error, traceback):
        if kind is not None:
            sys.stderr.write("\n".join(self.log_file.read_text().splitlines()[-60:]) + "\n")
        self._end()
        if kind is None:
            undeclared = [line for line in self.serious_lines if not self._is_expected(line)]
            assert not undeclared, "undeclared log lines:\n" + "\n".join(map(str, undeclared))

    def _end(self):
        try:
            self.stop()
        finally:
            self._lines = self.log_lines()
            if kept := os.environ.get("INSULA_TEST_KEEP_LOG"):
                shutil.copy(self.log_file, kept)
            self._temp.cleanup()

    def command(self):
        """Return the command that starts the stack."""
        arguments = ["--data-dir", str(self.data_dir), "--ready-file", str(self.ready_file)]
        for name in ("pg", "http", "kv", "admin"):
            arguments += [f"--{name}", "127.0.0.1:0"]
        if self._config:
            path = self.folder / "insula.toml"
            path.write_text(self._config)
            arguments += ["--config", str(path)]
        return [sys.executable, "-P", "-m", "cli.main", "start", *arguments, *self._arguments]

    def start(self):
        """Start the stack and wait until it serves."""
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **self._environment}
        self.start_s = time.monotonic()
        self.ready_file.unlink(missing_ok=True)  # of a stack that a test killed
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(), stderr=log, stdin=subprocess.DEVNULL, env=environment
            )
        wait_until(
            lambda: self.ready_file.exists() or self.process.poll() is not None,
            START_S_MAX,
            "the stack is ready",
        )
        assert self.process.poll() is None, f"the stack ended with {self.process.returncode}"
        self.ready_s = time.monotonic() - self.start_s
        self.record = json.loads(self.ready_file.read_text())
        self.running = RunningStack(self.data_dir, **self.record)

    def stop(self, *, signal_number=signal.SIGTERM):
        """Stop the stack; return its exit code."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(signal_number)
        try:
            return self.process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    def restart(self):
        """Stop and start on the same data; ports change."""
        assert self.stop() == 0
        self.start()

    # -- tenants and clients

    def admin(self):
        """Return a TenantAdmin client; close it."""
        return AdminClient(self.running)

    def create_tenant(self, name, *, user=USER, password=PASSWORD):
        """Create a tenant with one user."""
        admin = self.admin()
        try:
            self._passwords[name, user] = password
            return admin.create(name, user=user, verifier=make_verifier(password))
        finally:
            admin.close()

    def url(self, tenant, *, user=USER, password=None):
        """Return a connection string that carries the password."""
        word = self._passwords.get((tenant, user), PASSWORD) if password is None else password
        return connection_url(self.running, tenant, user=user, password=word)

    def connect(self, tenant, *, user=USER, password=None, **options):
        """Return a psycopg connection over TCP."""
        options.setdefault("connect_timeout", 20)
        options.setdefault("autocommit", True)
        return psycopg.connect(self.url(tenant, user=user, password=password), **options)

    def operator_connect(self, tenant, *, user=USER, **options):
        """Return a psycopg connection over the trusted Unix socket."""
        return psycopg.connect(
            host=str(self.running.run_dir),
            port=self.running.pg_port,
            user=user,
            dbname="defaultdb",
            options=f"--tenant={tenant}",
            autocommit=True,
            **options,
        )

    def insula(self, *words, text=None, check=True):
        """Run the `insula` command against this stack."""
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "INSULA_DATA_DIR": str(self.data_dir)}
        done = subprocess.run(
            [sys.executable, "-P", "-m", "cli.main", *words],
            env=environment,
            capture_output=True,
            text=True,
            input=text,
            timeout=60,
            check=False,
        )
        if check:
            assert done.returncode == 0, done.stderr
        return done

    # -- processes

    def http(self, path):
        """GET a path of the gateway's HTTP endpoint; return (status, text)."""
        try:
            with urllib.request.urlopen(
                f"http://{self.record['http']}{path}", timeout=10
            ) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def processes(self):
        """Return what /debug/processes lists."""
        return json.loads(self.http("/debug/processes")[1])

    def pid(self, kind):
        """Return the pid of supervisor, kvnode, gateway or zygote."""
        return json.loads((self.running.run_dir / "processes.json").read_text())[kind]

    def sql_pids(self, tenant):
        """Return the pids of a tenant's SQL processes."""
        return [p["pid"] for p in self.processes() if p.get("tenant") == tenant]

    def kill(self, pid, signal_number=signal.SIGKILL):
        """Kill one process of the stack and wait until it is gone; declares what follows."""
        self.expect_log(*KILL_EVENTS)
        os.kill(pid, signal_number)
        wait_until(lambda: not is_running(pid), 10, f"{pid} is gone")

    def kill_and_wait(self, kind, *, ready_s_max=30.0):
        """kill -9 kvnode, gateway or zygote and wait until another one is there and ready."""
        old = self.pid(kind)
        self.kill(old)
        wait_until(lambda: self.pid(kind) != old, ready_s_max, f"another {kind}")
        wait_until(self.is_ready, ready_s_max, "ready again")

    def is_ready(self):
        """Whether /health?ready=1 says so."""
        try:
            return self.http("/health?ready=1")[0] == 200
        except OSError:
            return False

    # -- logs

    def expect_log(self, *events):
        """Declare events of level WARNING or above that this test causes."""
        self._expected.update(events)

    def log_lines(self):
        """Return all log lines as dicts; text that is no JSON comes as an ERROR."""
        lines = []
        for line in self.log_file.read_text(errors="replace").splitlines():
            try:
                lines.append(json.loads(line))
            except ValueError:
                lines.append({"level": "ERROR", "event": line})
        return lines

    @property
    def serious_lines(self):
        """Lines of level WARNING or above, after the end."""
        return [line for line in self._lines if line["level"] in _SERIOUS]

    def _is_expected(self, line):
        return line["event"] in self._expected or line["event"] in UNAVOIDABLE_EVENTS


class FakeStack(Stack):
    """The same with echoing SQL processes; supervisor, KV node, gateway, zygote, pool are real."""

    def connect(self, tenant, **options):
        # The fake sessions know simple queries only; psycopg would prepare what it sees often.
        return super().connect(tenant, prepare_threshold=None, **options)

    def command(self):
        return [
            sys.executable,
            "-P",
            "-m",
            "tests.fakes.fake_stack",
            str(self.data_dir),
            str(self.ready_file),
        ]


def wait_until(condition, limit_s, what):
    """Poll `condition` until it holds; fail after `limit_s`. Returns what it gave."""
    end_s = time.monotonic() + limit_s
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end_s, f"waited {limit_s} s for: {what}"
        time.sleep(0.01)
