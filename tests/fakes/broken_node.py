"""Nodes that are broken on purpose, each in one way: what finds errors has to find these.

Nothing here can be reached by a configuration: a test builds such a core, or starts
`tests.fakes.broken_kvnode`, and production has no switch for it.
"""

from kvnode.core import Core
from kvnode.txn.operations import CommitOperation
from kvnode.txn.write_batch import write_batch
from tests.sim.sim_node import SimWriter

_BATCHES_IN_TIME = 6


def never(*arguments, **named):
    """Find no conflict, whatever was read."""


class Unvalidated(Core):
    """Nothing that was read is validated: not at commit, not when a snapshot moves."""

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, find_conflict=never, **named)


class StaleReads(Core):
    """After a while, new snapshots are one batch of commits behind what was acknowledged."""

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        timeline = self.timeline
        advance, seen = timeline.advance, []

        def lag(durable_ts):
            seen.append(durable_ts)
            advance(seen[-1] if len(seen) < _BATCHES_IN_TIME else seen[-2])

        timeline.advance = lag


class EarlyAnswers(Core):
    """Commits are acknowledged as soon as they are queued: a crash takes some with it."""

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        submit = self.group.submit

        def answered(operation):
            if isinstance(operation, CommitOperation):
                finish, operation.on_finish = operation.on_finish, never
                self.loop.call_soon(finish, operation, None)
            submit(operation)

        self.group.submit = answered


class NoLocks(Core):
    """Every lock is granted at once."""

    is_staging = False  # a chunk waits until it really has its locks

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.locks.acquire = lambda request, on_settled, *, timeout_s=0: on_settled(request)


class ForgetfulStatus(Core):
    """An outcome is called unknown, and the commit may come later all the same."""

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        status, sequencer = self.sequencer.status, self.sequencer

        def forgetful(tenant, txn_id, answer, *, until_s):
            status(tenant, txn_id, answer, until_s=until_s)
            sequencer.forget_refused(float("inf"))

        self.sequencer.status = forgetful


class TornWriter(SimWriter):
    """A crash keeps the first operation of a batch, and half of its writes."""

    def crash(self):
        self.is_dead = True
        for operation in (self.running or [])[:1]:
            if getattr(operation, "puts", None):
                puts = dict(list(operation.puts.items())[: len(operation.puts) // 2])
                operation.puts = puts
            write_batch(self.engine, [operation])


class TornWrites(Core):
    """A store that is not atomic."""

    writer_type = TornWriter
