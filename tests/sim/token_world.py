"""SQL processes of one tenant, the owner of its bucket, and a network between them: all simulated.

Time moves in steps. Each process runs a number of connections, which run statements one after the
other; a statement costs a random number of RU, charged when it is over, and waits before it starts
while its process is in debt. Messages may be late, lost or doubled; the owner may be away, and may
come back with what it had stored.
"""

import copy
import random
from dataclasses import dataclass, field

from admission.token_bucket import BucketRecord, TokenBucket
from admission.token_client import TokenClient, TokenClientConfig

STEP_S = 0.01


@dataclass
class Process:
    """One SQL process: its client, and connections that are free from some time on."""

    client: TokenClient
    free_s: list
    pause_s: float  # between two statements of a connection
    charged_ru: float = 0.0
    reported_ru: float = 0.0  # by sequence, so that doubled ones count once
    requests: dict = field(default_factory=dict)
    served: list = field(default_factory=list)  # (when, RU)


class World:
    """The tenant's bucket and its processes."""

    def __init__(self, *, rate, burst, seed=0, loss=0.0, delay_s=0.002, cost_ru=(0.5, 3.0)):
        self.rng = random.Random(seed)
        self.now_s = 0.0
        self.loss, self.delay_s, self.cost_ru = loss, delay_s, cost_ru
        record = BucketRecord(
            rate_ru_per_s=rate, burst_ru_max=burst, balance_ru=burst, updated_s=0.0
        )
        self.bucket = TokenBucket(record)
        self.is_away = False
        self.processes = []
        self.messages = []  # (when it arrives, what to do)
        self.config = TokenClientConfig()

    def start(self, connections, *, pause_s=0.0):
        """Start a process with so many connections."""
        client = TokenClient(len(self.processes), self.config, now_s=self.now_s)
        process = Process(client, [self.now_s] * connections, pause_s)
        self.processes.append(process)
        return process

    def run(self, seconds):
        """Let time pass."""
        end_s = self.now_s + seconds
        while self.now_s < end_s:
            self.now_s += STEP_S
            due = [m for m in self.messages if m[0] <= self.now_s]
            self.messages = [m for m in self.messages if m[0] > self.now_s]
            for _, do in due:
                do()
            for process in self.processes:
                self.step(process)

    def step(self, process):
        client, waiting = process.client, 0
        for index, free_s in enumerate(process.free_s):
            if free_s > self.now_s:
                continue
            if client.wait_s(now_s=self.now_s) > 0:
                waiting += 1
                continue
            cost = self.rng.uniform(*self.cost_ru)
            client.charge(cost, now_s=self.now_s)
            process.charged_ru += cost
            process.served.append((self.now_s, cost))
            process.free_s[index] = self.now_s + self.rng.uniform(0.5, 1.5) * process.pause_s
        request = client.next_request(now_s=self.now_s, waiting=waiting)
        if request is not None:
            process.requests[request.sequence] = request
            self.send(lambda: self.answer(process, request))

    def send(self, do):
        for _ in range(2 if self.rng.random() < self.loss else 1):
            if self.rng.random() >= self.loss:
                self.messages.append((self.now_s + self.delay_s * self.rng.uniform(0.5, 2), do))

    def answer(self, process, request):
        if not self.is_away:
            grant = self.bucket.request(request, now_s=self.now_s)
            self.send(lambda: process.client.granted(grant, now_s=self.now_s))

    def crash(self):
        """Lose everything but the stored record."""
        self.bucket = TokenBucket(copy.deepcopy(self.bucket.record))

    def charged_ru(self):
        return sum(process.charged_ru for process in self.processes)
