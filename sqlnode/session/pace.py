"""One session and its tenant's limits: where its statements wait, and what its client is told.

**Model.** A statement waits where it has taken nothing new: before it begins, and between two
batches of rows. Never in a commit; BEGIN, COMMIT, ROLLBACK, SET, SHOW and their like never wait at
all, nor does a look at pg_stat_activity, which shows who waits. After 200 ms of waiting, all
together, the client gets one NOTICE. With `throttle_mode = fail` a statement that would have to
wait fails before it begins, with 53400; one that has begun is paced in either mode.
"""

import asyncio
import re
from typing import TYPE_CHECKING, Final

from pgwire.errors import ConfigurationLimitExceeded
from pgwire.sql_error import SqlError
from sqlnode.throttle import Throttle

if TYPE_CHECKING:
    from sqlnode.session.session import Session
    from sqlnode.statements import Statement

NOTICE_S: Final = 0.2
WAIT_EVENT: Final = ("Throttle", "RequestUnits")
_LOOK: Final = re.compile(r"\bpg_stat_(?:activity|statements)\b")
_LOOK_S: Final = 10.0


class SessionPace:
    """Paces the statements of one session."""

    def __init__(self, session: "Session", throttle: Throttle) -> None:
        self.throttle = throttle
        self._session = session
        self._waited_s = 0.0  # in this statement
        self._is_told = False
        self.waiting_text = ""  # of a statement that has not begun yet

    async def begin(self, statement: "Statement") -> None:
        """Wait before a statement. Requires: `throttle.is_on`.

        Raises: ConfigurationLimitExceeded.
        """
        if statement.is_free:
            return
        self._waited_s, self._is_told = 0.0, False
        throttle = self.throttle
        self._check_budget()
        must_wait = throttle.must_wait() and not self._is_look(statement)
        if must_wait:
            if self._session.parameters.values["throttle_mode"] == "fail":
                raise self._refusal()
            self.waiting_text = statement.text
            try:
                await self._wait()
            finally:
                self.waiting_text = ""
        throttle.begin(has_waited=must_wait)

    def _is_look(self, statement: "Statement") -> bool:
        """Tell whether it only looks at what goes on: nobody else could see who is waiting.

        Such statements may run up a debt of a few seconds.
        """
        limits, session = self.throttle.limits, self._session
        if limits is None or not _LOOK.search(statement.text):
            return False
        if self.throttle.balance_ru() < -_LOOK_S * limits.rate_ru_per_s:
            return False
        try:
            return not session.engine.plan(statement, session.env()).relations
        except SqlError:
            return False

    async def go_on(self) -> None:
        """Wait between two batches of a statement's rows. Requires: `throttle.is_on`.

        Raises: ConfigurationLimitExceeded if the month's budget is used up.
        """
        self._check_budget()
        if self.throttle.must_wait():
            await self._wait()

    async def _wait(self) -> None:
        session, loop = self._session, asyncio.get_running_loop()
        txn = session.block.txn
        is_holder = txn is not None and (txn.locks.has_any or txn.has_writes)
        notice = None
        if not self._is_told:
            notice = loop.call_later(max(0.0, NOTICE_S - self._waited_s), self._tell)
        since_s = loop.time()
        session.info.wait_event = WAIT_EVENT
        session.account.rest()  # the CPU time of the others is not its own
        try:
            await self.throttle.wait(is_holder=is_holder)
        finally:
            session.info.wait_event = None
            session.account.wake()
            self._waited_s += loop.time() - since_s
            if notice is not None:
                notice.cancel()
        self._check_budget()

    def _tell(self) -> None:
        self._is_told = True
        out = self._session.out
        # Nothing else may leave with it: what the client has not seen may still be run again.
        is_alone = not out.has_any
        out.notice(
            "NOTICE",
            f"statement is throttled: {self._rule()}",
            detail=f"{self._balance()} It will wait about {self._expected_s():.1f} more seconds.",
            hint="SET throttle_mode = fail makes such statements fail instead.",
        )
        if is_alone:
            out.flush()

    def _check_budget(self) -> None:
        limits = self.throttle.limits
        if limits is not None and limits.is_used_up:
            self.throttle.ask_for_budget()
            raise ConfigurationLimitExceeded(
                f'tenant "{self._session.info.tenant}" has used up its monthly budget of '
                f"{limits.month_ru_max:g} request units",
                hint="The operator can raise it: insula limits set.",
            )

    def _refusal(self) -> ConfigurationLimitExceeded:
        return ConfigurationLimitExceeded(
            self._rule(),
            detail=self._balance(),
            hint="Try again later, or SET throttle_mode = wait.",
        )

    def _balance(self) -> str:
        return f"The balance of this process is {self.throttle.balance_ru():.1f} units."

    def _expected_s(self) -> float:
        return max(0.1, self.throttle.expected_wait_s())

    def _rule(self) -> str:
        limits = self.throttle.limits
        rate = 0.0 if limits is None else limits.rate_ru_per_s
        return (
            f'tenant "{self._session.info.tenant}" is limited to {rate:g} request units per second'
        )
