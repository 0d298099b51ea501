"""The admission library, told as transcripts."""

from collections import Counter
from pathlib import Path

import pytest

from admission.cpu_tokens import CpuConfig, CpuTier, CpuTokens
from admission.elastic_cpu import ElasticConfig, ElasticCpu
from admission.queue import FairQueue, Priority, QueueConfig, Work
from admission.token_bucket import BucketRecord, TokenBucket, TokenRequest
from admission.token_client import TokenClient, TokenClientConfig
from kvapi.errors import Throttled
from tests.scripts.admission_machine import Machine
from tests.scripts.io_machine import IoMachine
from tests.scripts.runner import run_script

HERE = Path(__file__).parent


class QueueMachine(Machine):
    """Directives: queue, add, take, run, settle, cancel, lift, expire, weight, show, pass."""

    def queue(self, directive):
        sizes = {name: int(directive.get(name)) for name in directive.arguments}
        self.fair = FairQueue(QueueConfig(memory_s=5.0, **sizes))
        self.works = {}
        return "empty"

    def add(self, directive):
        name = directive.words[0]
        work = self.works[name] = Work(
            tenant_id=int(directive.get("tenant")),
            txn_start=int(directive.get("start", "0")),
            priority=Priority[directive.get("priority", "normal").upper()],
            deadline_s=float(directive.get("deadline", "inf")),
            estimate=float(directive.get("estimate", "0.001")),
            payload=name,
        )
        try:
            self.fair.add(work, now_s=self.now_s)
        except Throttled as error:
            return f"throttled: retry in {error.number} ms"
        return f"{name} waits"

    def take(self, directive):
        work = self.fair.take(now_s=self.now_s)
        return "nothing waits" if work is None else f"{work.payload} of tenant {work.tenant_id}"

    def run(self, directive):
        """Take work, let it run for `cost` seconds, put it back, `times` over."""
        order = []
        for _ in range(int(directive.get("times"))):
            work = self.fair.take(now_s=self.now_s)
            order.append(work.payload)
            cost = float(directive.get("cost", "0.001"))
            self.now_s += cost
            self.fair.settle(work, cost, now_s=self.now_s)
            self.fair.put_back(work, now_s=self.now_s)
        if len(order) > 40:
            return ", ".join(f"{name} {count} times" for name, count in Counter(order).items())
        return " ".join(order)

    def settle(self, directive):
        work = self.works[directive.words[0]]
        self.fair.settle(work, float(directive.get("cost")), now_s=self.now_s)
        return self.show(directive)

    def cancel(self, directive):
        was_waiting = self.fair.cancel(self.works[directive.words[0]])
        return "removed" if was_waiting else "too late: it does not wait"

    def lift(self, directive):
        work = self.works[directive.words[0]]
        self.fair.raise_priority(work, Priority(work.priority).holding_locks())
        return f"{work.payload} has priority {Priority(work.priority).name}"

    def expire(self, directive):
        expired = self.fair.expire(now_s=self.now_s)
        return ", ".join(f"{work.payload} expired" for work in expired) or "nothing expired"

    def weight(self, directive):
        for tenant, weight in directive.arguments.items():
            self.fair.set_weight(int(tenant), float(weight))
        return "ok"

    def show(self, directive):
        lines = []
        for tenant in sorted({work.tenant_id for work in self.works.values()}):
            spent = self.fair.use_per_s(tenant, now_s=self.now_s) * 5
            lines.append(f"tenant {tenant}: {self.fair.waiting(tenant)} waiting, {spent:.4f} spent")
        return "\n".join(lines)

    def share(self, directive):
        is_within = self.fair.is_within_share(int(directive.get("tenant")))
        return "within its share" if is_within else "above its share"


class CpuMachine(Machine):
    """Directives: cpu, second, take, levels; elastic, adjust, slice; pass."""

    def cpu(self, directive):
        settings = {name: float(directive.get(name)) for name in directive.arguments}
        self.tokens = CpuTokens(CpuConfig(**settings))
        self.process_cpu_s = 0.0
        self.tokens.tick(now_s=self.now_s, waiting=0, process_cpu_s=0.0)
        return self.describe()

    def second(self, directive):
        """A second in which work took `work` CPU seconds of tokens, the process `process`."""
        work, process = float(directive.get("work")), float(directive.get("process"))
        for _ in range(1000):
            self.now_s += 0.001
            self.tokens.tick(now_s=self.now_s, waiting=1)
            self.tokens.take(work / 1000)
        self.process_cpu_s += process
        self.tokens.tick(now_s=self.now_s, waiting=1, process_cpu_s=self.process_cpu_s)
        return self.describe()

    def describe(self):
        rates = ", ".join(f"{tier.name} {self.tokens.rates[tier]:.3f}" for tier in CpuTier)
        return f"multiplier {self.tokens.multiplier:.2f}; CPU seconds per second: {rates}"

    def idle(self, directive):
        self.now_s += float(directive.words[0])
        next_s = self.tokens.tick(now_s=self.now_s, waiting=0)
        return f"next tick in {next_s * 1e3:g} ms"

    def take(self, directive):
        tier, cpu_s = CpuTier[directive.get("tier").upper()], float(directive.get("cpu"))
        if self.tokens.try_take(tier, cpu_s):
            return "goes"
        return f"waits {self.tokens.wait_s(tier) * 1e3:.0f} ms"

    def levels(self, directive):
        return ", ".join(f"{tier.name} {level:.3f}" for tier, level in self.tokens.levels.items())

    def elastic(self, directive):
        settings = {name: float(directive.get(name)) for name in directive.arguments}
        self.granter = ElasticCpu(ElasticConfig(**settings), now_s=self.now_s)
        return f"limit {self.granter.limit:.1%}"

    def adjust(self, directive):
        """So many times 2.5 s with this latency, in which `used` of the limit is used."""
        for _ in range(int(directive.get("times", "1"))):
            self.granter.take(self.granter.limit * 2.5 * 2 * float(directive.get("used", "0")))
            self.now_s += 2.5
            self.granter.adjust(now_s=self.now_s, latency_p99_s=float(directive.get("p99")))
        return f"limit {self.granter.limit:.1%}"

    def slice(self, directive):
        if self.granter.try_take(float(directive.get("cpu")), now_s=self.now_s):
            return "goes"
        return f"waits {self.granter.wait_s() * 1e3:.0f} ms"


class BucketMachine(Machine):
    """Directives: bucket, process, ask, use, end, away, back, limits, pass."""

    def bucket(self, directive):
        rate, burst = float(directive.get("rate")), float(directive.get("burst"))
        balance = float(directive.get("balance", str(burst)))
        self.owner = TokenBucket(
            BucketRecord(
                rate_ru_per_s=rate,
                burst_ru_max=burst,
                balance_ru=balance,
                updated_s=self.now_s,
            )
        )
        self.is_away = False
        self.clients = {}
        return self.balance()

    def ask(self, directive):
        """Ask the owner directly: what the wire would carry."""
        numbers = {name: float(directive.get(name)) for name in directive.arguments}
        request = TokenRequest(
            client_id=int(numbers.pop("process", 1)),
            sequence=int(numbers.pop("sequence")),
            **numbers,
        )
        grant = self.owner.request(request, now_s=self.now_s)
        return f"{describe_grant(grant)}; {self.balance()}"

    def balance(self):
        return f"balance {self.owner.record.balance_ru:g}"

    def limits(self, directive):
        rate, burst = float(directive.get("rate")), float(directive.get("burst"))
        self.owner.set_limits(rate_ru_per_s=rate, burst_ru_max=burst, now_s=self.now_s)
        return self.balance()

    def process(self, directive):
        settings = {k: float(v) for k, v in directive.arguments.items()}
        config = TokenClientConfig(**settings)
        self.clients["1"] = TokenClient(1, config, now_s=self.now_s)
        return f"{self.clients['1'].available_ru(now_s=self.now_s):g} RU"

    def use(self, directive):
        """Use RU at once, or `rate` RU per second for `for` seconds, waiting when told to."""
        client, said = self.clients["1"], []
        rate, seconds = float(directive.get("rate")), float(directive.get("for"))
        used = waited = 0.0
        for _ in range(round(seconds * 100)):
            self.now_s += 0.01
            if client.wait_s(now_s=self.now_s) > 0:
                waited += 0.01
            elif rate:
                client.charge(rate / 100, now_s=self.now_s)
                used += rate / 100
            waiting = int(client.wait_s(now_s=self.now_s) > 0)
            request = client.next_request(now_s=self.now_s, waiting=waiting)
            if request is not None:
                said.append(self.exchange(client, request))
        summary = f"{self.now_s:g} s: used {used:.0f} RU, waited {waited:.2f} s"
        return "\n".join([*said, summary])

    def exchange(self, client, request):
        borrowed = f", borrowed {request.borrowed_ru:.0f}" if request.borrowed_ru >= 1 else ""
        returned = f", returns {request.returned_ru:.0f}" if request.returned_ru >= 1 else ""
        asked = (
            f"{self.now_s:g} s: #{request.sequence} wants {request.wanted_ru:.0f}, "
            f"used {request.consumed_ru:.0f}{borrowed}{returned}"
        )
        if self.is_away:
            return f"{asked} -> no answer"
        grant = self.owner.request(request, now_s=self.now_s)
        client.granted(grant, now_s=self.now_s)
        return f"{asked} -> {describe_grant(grant)}"

    def end(self, directive):
        client = self.clients.pop("1")
        said = []
        while (request := client.last_request(now_s=self.now_s)) is not None:
            said.append(self.exchange(client, request))
        return "\n".join([*said, f"ended; {self.balance()}"])

    def away(self, directive):
        self.is_away = True
        return "nobody answers"

    def back(self, directive):
        self.is_away = False
        return "answers again"


def describe_grant(grant):
    parts = [f"{grant.at_once_ru:.0f} at once"] if grant.at_once_ru >= 0.5 else []
    if grant.trickle_ru >= 0.5:
        parts.append(f"{grant.trickle_ru:.0f} over {grant.trickle_s:.2f} s")
    return " and ".join(parts) or "nothing"


@pytest.mark.parametrize(
    ("name", "machine"),
    [
        ("admission_queue.txt", QueueMachine),
        ("cpu_tokens.txt", CpuMachine),
        ("io_tokens.txt", IoMachine),
        ("token_bucket.txt", BucketMachine),
    ],
)
def test_transcript(name, machine, rewrite):
    """The transcript explains how overload is kept in bounds; it must stay true."""
    run_script(HERE / name, machine(), rewrite=rewrite)
