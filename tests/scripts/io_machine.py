"""The tokens of the disk, and the KV node's gate before its commits, for a transcript."""

from asyncio import TimerHandle
from types import SimpleNamespace

from admission.io_tokens import IoConfig, IoSample, IoTier, IoTokens
from admission.queue import Priority
from kvapi.errors import Throttled
from kvnode.admission.io_gate import IoGate
from kvnode.admission.scheduler import Scheduler
from kvnode.admission.write_gate import WriteBounds, WriteGate, WriteTicket
from runtime.clock import ManualClock, WallCpuClock
from tests.scripts.admission_machine import Machine


class IoMachine(Machine):
    """Directives: io, interval, write, alone, pass."""

    def io(self, directive):
        settings = {name: float(directive.get(name)) for name in directive.arguments}
        self.tokens = IoTokens(IoConfig(**settings), now_s=self.now_s)
        return "no limit"

    def interval(self, directive):
        """15 s of commits, small and large, of so many MiB in all, this many times that on disk.

        Each takes `latency`, and what the disk takes for its bytes at `mib_per_s`.
        """
        mib, amplification = float(directive.get("mib")), float(directive.get("amplification", "1"))
        sample, speed = IoSample(), float(directive.get("mib_per_s", "inf"))
        count = int(directive.get("commits", "10"))
        for part in (0.5, 1.5) * (count // 2):
            size = int(part * mib * 2**20) // count
            sample.add(
                latency_s=float(directive.get("latency")) + part * mib / count / speed,
                size_bytes=size,
                pages=int(size * amplification) // 4096,
            )
        self.now_s += 15
        self.tokens.refit(sample, now_s=self.now_s)
        bulk, commits = _mib(self.tokens.limit), _mib(self.tokens.regular_limit)
        return f"score {self.tokens.score:.2f}, bulk: {bulk}, commits: {commits}"

    def write(self, directive):
        """Writes of `mib` MiB, one after the other, as long as they may go."""
        tier, size = IoTier[directive.get("tier").upper()], int(directive.get("mib")) << 20
        count = 0
        while count < 100 and self.tokens.may_take(tier, now_s=self.now_s):
            self.tokens.reserve(self.tokens.estimate(size), now_s=self.now_s)
            count += 1
        return f"{count} go, then wait {self.tokens.wait_s(tier):.2f} s"

    def alone(self, directive):
        """Elastic writes are the only ones, or not any more."""
        self.tokens.set_alone(directive.words[0] == "yes", now_s=self.now_s)
        rate = self.tokens._tokens.rates[IoTier.ELASTIC]
        return f"bulk may take {_mib(rate)}"

    def gate(self, directive):
        """Put the gate of the KV node before the tokens; `pass` then lets go on who may."""
        clock, cpu = ManualClock(self.now_s), WallCpuClock(ManualClock())
        self.clock, self.timers, self.said = clock, [], []
        scheduler = Scheduler(None, clock, cpu, cores=1, quantum_s=0.001, is_enabled=True)
        io = IoGate(clock.monotonic_s, self.call_later, latency_max_s=0.02)
        io.tokens = self.tokens
        bounds = {name: int(directive.get(name)) for name in directive.arguments}
        bounds = WriteBounds(bounds.get("writes", 100), bounds.get("mib", 64) << 20, 30.0)
        self.writes = WriteGate(io, scheduler, self.call_later, bounds)
        self.tickets = {}
        io.on_refit()
        return "open" if self.writes.is_open else "closed: ask"

    def call_later(self, wait_s, callback):
        timer = TimerHandle(self.clock.monotonic_s() + wait_s, callback, (), Loop())
        self.timers.append(timer)
        return timer

    def commit(self, directive):
        name, size = directive.words[0], int(float(directive.get("mib")) * 2**20)
        self.said = []
        priority = Priority[directive.get("priority", "normal").upper()]
        ticket = self.tickets[name] = WriteTicket(
            tenant_id=int(directive.get("tenant")),
            size_bytes=size,
            txn_start=len(self.tickets),
            priority=priority,
            go=lambda: self.said.append(f"{self.clock.monotonic_s():.2f} s: {name} goes on"),
            fail=lambda error: self.said.append(f"{name}: {error.message}"),
        )
        try:
            has_passed = self.writes.is_open or self.writes.try_pass(ticket)
        except Throttled as error:
            return f"{name} is refused: {error.message}"
        return f"{name} goes on" if has_passed else f"{name} waits"

    def cancel(self, directive):
        was_waiting = self.writes.cancel(self.tickets[directive.words[0]])
        return "removed" if was_waiting else "too late: it does not wait"

    def weights(self, directive):
        for tenant, weight in directive.arguments.items():
            self.writes.set_weight(int(tenant), float(weight))
        return "ok"

    def wrote(self, directive):
        """A commit is durable, and this is what the system counted."""
        ticket, mib = self.tickets[directive.words[0]], float(directive.get("mib"))
        taken = ticket.taken.tokens / 2**20
        operation = SimpleNamespace(
            tenant_id=ticket.tenant_id, size_bytes=ticket.size_bytes, taken=ticket.hand_over()
        )
        given = self.writes.ended([operation], mib * 2**20, ticket.size_bytes)
        self.tokens.settle(given, mib * 2**20, now_s=self.clock.monotonic_s())
        self.writes.look()
        return f"{taken:.1f} MiB were taken, {mib - taken:+.1f} are charged"

    def nothing(self, directive):
        """A commit came to nothing."""
        ticket = self.tickets[directive.words[0]]
        taken = ticket.taken.tokens / 2**20
        self.writes.give_back(ticket)
        return f"{taken:.1f} MiB are given back"

    def wait(self, directive):
        """Let time pass, and say who goes on."""
        end_s, self.said = self.clock.monotonic_s() + float(directive.words[0]), []
        while timers := [t for t in self.timers if not t.cancelled() and t.when() <= end_s]:
            timer = min(timers, key=TimerHandle.when)
            self.timers.remove(timer)
            self.clock.advance(max(0.0, timer.when() - self.clock.monotonic_s()))
            timer._run()
        self.clock.advance(end_s - self.clock.monotonic_s())
        return "\n".join(self.said) or "nobody goes on"


def _mib(limit):
    return "no limit" if limit == float("inf") else f"{limit / 2**20:.1f} MiB/s"


class Loop:
    """What a timer asks of its loop."""

    def get_debug(self):
        return False

    def _timer_handle_cancelled(self, timer):
        pass
