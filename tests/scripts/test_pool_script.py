"""The SQL process pool as a transcript (pool.txt)."""

import dataclasses
from pathlib import Path

from gateway.config import PoolConfig
from gateway.pool import Pool
from tests.transcript import run_transcript


class PoolDialogue:
    """Each command acts on one pool; the answer is the actions it decides on."""

    def __init__(self):
        self.pool = None
        self.now_s = 0.0

    def handle(self, command):
        if command.has("at"):
            self.now_s = command.float("at")
        return getattr(self, "do_" + command.name.replace("-", "_"))(command)

    def do_pool(self, command):
        values = {}
        for field in dataclasses.fields(PoolConfig):
            if command.has(field.name):
                values[field.name] = type(field.default)(command.text(field.name))
        self.pool = Pool(PoolConfig(**values))

    def do_zygote(self, command):
        if "lost" in command.flags:
            return self.pool.zygote_lost()
        return self._show(self.pool.zygote_connected(self.now_s))

    def do_warm(self, command):
        return self._show(self.pool.process_warm(command.int("pid"), self.now_s))

    def do_request(self, command):
        return self._show(
            self.pool.request(command.int("session"), command.int("tenant"), self.now_s)
        )

    def do_closed(self, command):
        for _ in range(command.int("count", 1)):
            self.pool.session_closed(command.int("pid"), self.now_s)

    def do_gone(self, command):
        process = self.pool.process_gone(command.int("pid"))
        self.pool.process_reaped(command.int("pid"))
        return f"was {process.state} with {process.session_count} sessions"

    def do_refused(self, command):
        return self.pool.fork_refused(command.int("count"))

    def do_adopt(self, command):
        pid, tenant, sessions = (command.int(name) for name in ("pid", "tenant", "sessions"))
        self.pool.process_adopted(pid, tenant, sessions, self.now_s)

    def do_give_up(self, command):
        self.pool.give_up(command.int("session"))

    def do_drop(self, command):
        return f"drain {self.pool.retire_tenant(command.int('tenant'))}"

    def do_tick(self, _command):
        return self._show(self.pool.tick(self.now_s))

    def do_stop(self, _command):
        return self._show(self.pool.stop())

    def do_show(self, _command):
        pool = self.pool
        lines = [
            f"{p.pid}: {p.state} tenant={p.tenant_id} sessions={p.session_count}"
            for p in pool.processes.values()
        ]
        counts = f"warm={pool.warm_count} forking={pool.forking_count} waiting={pool.waiting_count}"
        return [*lines, f"{counts} target={pool.target(self.now_s)}"]

    @staticmethod
    def _show(actions):
        return [
            " ".join(
                [type(a).__name__.lower(), *(f"{k}={v}" for k, v in dataclasses.asdict(a).items())]
            )
            for a in actions
        ]


def test_pool(rewrite):
    """Tenants would wait, share processes, or keep them for ever."""
    run_transcript(Path(__file__).parent / "pool.txt", PoolDialogue().handle, rewrite=rewrite)
