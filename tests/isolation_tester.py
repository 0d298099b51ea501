"""A small isolation tester: steps of named sessions in a given order, and what each of them says.

**Format** of a spec (tests/isolation_specs/*.spec), after PostgreSQL's isolationtester:

    # what it is about
    levels read committed, repeatable read
    setup create table t (id int primary key, v int)
    session s1
      b1: begin isolation level {level}
      w1: update t set v = 1 where id = 1
    session s2
      …
    permutation b1 w1 …
    permutation …

**Model.** Each session runs its steps in a thread of its own. A step that does not end *waits*; the
order goes on with the others' steps, and after each of them one looks whether who waited is done.
PostgreSQL says itself who is blocked. For Insula the run on PostgreSQL says what to expect: what
ended there is waited for with a long deadline, what waited there must not have ended after a short
while. So a slow machine makes no failure.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_futures
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

STEP_S_MAX = 15.0
LOOK_S = 0.06  # after which a step that PostgreSQL lets wait must not have ended


@dataclass(slots=True)
class Spec:
    """One parsed file."""

    name: str
    about: list[str] = field(default_factory=list)
    levels: list[str] = field(default_factory=list)
    setup: list[str] = field(default_factory=list)
    steps: dict[str, tuple[str, str]] = field(default_factory=dict)  # name → session, SQL
    permutations: list[list[str]] = field(default_factory=list)


def parse(path: Path) -> Spec:
    """Read a spec."""
    spec, session = Spec(path.stem), ""
    for line in path.read_text().splitlines():
        word, _, rest = line.strip().partition(" ")
        match word:
            case "" | "#":
                spec.about += [rest] if rest else []
            case "levels":
                spec.levels = [level.strip() for level in rest.split(",")]
            case "setup":
                spec.setup.append(rest)
            case "session":
                session = rest
            case "permutation":
                spec.permutations.append(rest.split())
            case _:
                assert word.endswith(":"), f"{path.name}: {line}"
                assert word[:-1] not in spec.steps, f"{path.name}: {word} stands twice"
                spec.steps[word[:-1]] = (session, rest)
    for step in (step for order in spec.permutations for step in order):
        assert step in spec.steps, f"{path.name}: no step {step}"
    return spec


Blocked = Callable[[int], bool]
"""Tell whether the backend with this process id waits for a lock."""


class Session:
    """One connection and its thread."""

    def __init__(self, connect: Callable[[], psycopg.Connection]) -> None:
        self.connection = connect()
        self.pid = self.connection.info.backend_pid
        self.step = ""
        self.running: Future[str] | None = None
        self._thread = ThreadPoolExecutor(1)

    def start(self, step: str, sql: str) -> None:
        """Run a step."""
        self.step, self.running = step, self._thread.submit(self._run, sql)

    def _run(self, sql: str) -> str:
        try:
            cursor = self.connection.execute(sql)
        except psycopg.Error as error:
            return f"ERROR {error.sqlstate}"
        said = cursor.statusmessage or ""
        return f"{said} {cursor.fetchall()}" if cursor.description else said

    def close(self) -> None:
        """End the session, whatever it does."""
        self.connection.cancel()
        self._thread.shutdown()
        self.connection.close()


class Run:
    """One permutation on one server; `trace` is what happened, one line for each step of the order.

    A line names the steps that ended meanwhile and what they said, or who waits.
    """

    def __init__(
        self,
        connect: Callable[[], psycopg.Connection],
        *,
        blocked: Blocked | None = None,
        expected: Sequence[str] = (),
    ) -> None:
        assert blocked is not None or expected, "somebody has to say who waits"
        self.trace: list[str] = []
        self._connect = connect
        self._blocked = blocked
        self._expected = expected
        self._waiting: list[Session] = []

    def run(self, spec: Spec, order: Sequence[str], level: str) -> list[str]:
        """Set up and run the steps in order; return the trace."""
        with self._connect() as control:
            for sql in spec.setup:
                control.execute(sql)
        names = dict.fromkeys(session for session, _ in spec.steps.values())
        sessions = {name: Session(self._connect) for name in names}
        try:
            for step in order:
                name, sql = spec.steps[step]
                self._step(sessions[name], step, sql.format(level=level))
            for session in self._waiting:  # the spec ends with everybody done
                assert session.running is not None, "it waits"
                self.trace.append(f"{session.step}: {session.running.result(STEP_S_MAX)}")
        finally:
            for session in sessions.values():
                session.close()
        return self.trace

    def _step(self, session: Session, step: str, sql: str) -> None:
        assert session not in self._waiting, f"{session.step} still waits when {step} is due"
        session.start(step, sql)
        due = self._due()
        ended, waiting = [], []
        for one in [session, *self._waiting]:
            (ended if self._ends(one, due) else waiting).append(one)
        # Whoever ended later may have let another go on.
        for one in [one for one in waiting if self._ends(one, due)]:
            waiting.remove(one)
            ended.append(one)
        said = [f"{one.step}: {one.running.result()}" for one in ended if one.running is not None]
        if session in waiting:
            said.insert(0, f"{step} waits")
        self._waiting = [one for one in (*self._waiting, session) if one in waiting]
        self.trace.append(" | ".join([said[0], *sorted(said[1:])]))

    def _due(self) -> set[str]:
        """Return the steps that end now according to the expected trace."""
        if len(self.trace) >= len(self._expected):
            return set()
        line = self._expected[len(self.trace)]
        return {part.split(":")[0] for part in line.split(" | ") if not part.endswith(" waits")}

    def _ends(self, session: Session, due: set[str]) -> bool:
        """Wait until a step has ended or is known to wait."""
        running = session.running
        assert running is not None, "a step was started"
        if self._blocked is None:
            timeout_s = STEP_S_MAX if session.step in due else LOOK_S
            return bool(wait_futures([running], timeout_s).done)
        deadline = time.perf_counter() + STEP_S_MAX
        while time.perf_counter() < deadline:
            if wait_futures([running], 0.005).done:
                return True
            if self._blocked(session.pid):
                return False
        raise AssertionError(f"{session.step} neither ends nor waits")
