"""The SQL process pool as a transcript (pool.txt)."""

import dataclasses
from pathlib import Path

from gateway.config import PoolConfig
from gateway.pool import Pool
from tests.scripts.runner import run_script


class PoolDialogue:
    """Each command acts on one pool; the answer is the actions it decides on."""

    def __init__(self):
        self.pool = None
        self.now_s = 0.0

    def __call__(self, directive):
        self.now_s = float(directive.get("at", self.now_s))
        answer = getattr(self, "do_" + directive.name.replace("-", "_"))(directive)
        return "\n".join(answer) if isinstance(answer, list) else answer

    def do_pool(self, directive):
        values = {}
        for field in dataclasses.fields(PoolConfig):
            if field.name in directive.arguments:
                values[field.name] = type(field.default)(directive.get(field.name))
        self.pool = Pool(PoolConfig(**values))

    def do_zygote(self, directive):
        if "lost" in directive.words:
            return self.pool.zygote_lost()
        return self._show(self.pool.zygote_connected(self.now_s))

    def do_warm(self, directive):
        return self._show(self.pool.process_warm(int(directive.get("pid")), self.now_s))

    def do_request(self, directive):
        return self._show(
            self.pool.request(
                int(directive.get("session")), int(directive.get("tenant")), self.now_s
            )
        )

    def do_closed(self, directive):
        for _ in range(int(directive.get("count", 1))):
            self.pool.session_closed(int(directive.get("pid")), self.now_s)

    def do_gone(self, directive):
        process = self.pool.process_gone(int(directive.get("pid")))
        self.pool.process_reaped(int(directive.get("pid")), self.now_s)
        return f"was {process.state} with {process.session_count} sessions"

    def do_stillborn(self, directive):
        return self.pool.process_reaped(int(directive.get("pid")), self.now_s)

    def do_refused(self, directive):
        return self.pool.fork_refused(int(directive.get("count")))

    def do_adopt(self, directive):
        pid, tenant, sessions = (int(directive.get(name)) for name in ("pid", "tenant", "sessions"))
        self.pool.process_adopted(pid, tenant, sessions, self.now_s)

    def do_give_up(self, directive):
        self.pool.give_up(int(directive.get("session")))

    def do_drop(self, directive):
        return f"drain {self.pool.retire_tenant(int(directive.get('tenant')))}"

    def do_tick(self, _directive):
        return self._show(self.pool.tick(self.now_s))

    def do_stop(self, _directive):
        return self._show(self.pool.stop())

    def do_show(self, _directive):
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
    run_script(Path(__file__).parent / "pool.txt", PoolDialogue(), rewrite=rewrite)
