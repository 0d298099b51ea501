"""Holds the statements of this process back while its tenant is out of request units.

**Model.** The process has a local bucket (admission/token_client.py). What sessions used is read
off the meter, a few milliseconds late at most, and charged; what is granted comes from the KV node.
While the bucket is empty statements wait in line, and are let in as it fills:

    meter ──charge──► TokenClient ◄──grants── KV node
                          │ is there anything?
    statements ──line──► let in, each on the promise of what a statement costs on average

A statement's cost is known when it is over. Until then its promise counts as used, so that a
hundred that wait are not let in all at once for the first token. Charges redeem promises; what is
never charged lapses.

**Invariants.** Without limits there is no bucket, no timer, no request: `is_on` is False and that
is all a statement looks at. With limits, but nothing running, nothing is sent. At an orderly end
everything used is reported. Statements go in order of arrival, but those that hold locks go first:
others wait for them.

**Concurrency.** Owner: the process's loop.
"""

import asyncio
import logging
import math
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from admission.token_bucket import TokenGrant, TokenRequest
from admission.token_client import TokenClient, TokenClientConfig
from kvapi.client.results import Limits
from kvapi.client.token_calls import TokensGot
from kvapi.errors import KvError

_log = logging.getLogger(__name__)
_PULL_S: Final = 0.005  # the meter is read no more often
_TICK_S: Final = 0.1  # while statements run
_WAITING_TICK_S: Final = 0.005  # while statements wait
_PROMISE_LIFE_S: Final = 0.2  # what is not charged in that time halves
_LAPSED_PART: Final = 0.02  # of a promise: then nothing more is expected of its statement
_PROMISED_PART_MAX: Final = 0.25  # of the cushion: more would stop it asking for tokens
_COST_WEIGHT: Final = 0.1  # of the newest second in what a statement costs on average
_RETRY_S: Final = 0.05  # of the last report
_LAST_S_MAX: Final = 1.0  # for the reports at the end of the process
_USED_UP_ASK_S: Final = 1.0  # how often it asks whether there is a new month's budget

Ask = Callable[[TokenRequest], "asyncio.Future[TokensGot]"]


class Meter(Protocol):
    """What was used so far."""

    def ru(self) -> float:
        """Return it in request units; never falls."""
        ...


class Pace(Protocol):
    """Holds one session's work back."""

    @property
    def throttle(self) -> "Throttle":
        """The process's; look at its `is_on` first: it costs nothing."""
        ...

    async def go_on(self) -> None:
        """Wait between two batches of rows. Raises: SqlError."""
        ...


class Throttle:
    """The bucket of this process and who waits for it."""

    def __init__(
        self,
        meter: Meter,
        ask: Ask,
        *,
        client_id: int,
        loop: asyncio.AbstractEventLoop,
        config: TokenClientConfig | None = None,
    ) -> None:
        self.is_on = False
        self.limits: Limits | None = None
        self._is_ended = False
        self._meter = meter
        self._ask = ask
        self._client_id = client_id
        self.asked_as = 0  # the last client's id: whose bill it is
        self._loop = loop
        self._config = config or TokenClientConfig()
        self._client: TokenClient | None = None
        self._pending: asyncio.Future[TokensGot] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._holders: deque[asyncio.Future[None]] = deque()
        self._others: deque[asyncio.Future[None]] = deque()
        self._metered_ru = 0.0
        self._pulled_s = self._asked_s = -math.inf
        self._promised_ru = 0.0
        self.cost_ru = 1.0  # of a statement, on average
        self._begun = 0  # statements since that average was taken
        self._begun_ru = 0.0  # charged since then
        self._averaged_s = 0.0

    # limits

    def set_limits(self, limits: Limits | None) -> None:
        """Learn what the tenant is allowed from now on; None: everything."""
        if self._is_ended:
            return
        now_s = self._loop.time()
        self.limits, self.is_on = limits, limits is not None
        if limits is None:
            self.close()
        elif self._client is None:
            self._client = TokenClient(self._client_id, self._config, now_s=now_s)
            self.asked_as = self._client_id
            self._client_id += 1  # another bucket later is another client
            self._metered_ru, self._pulled_s = self._meter.ru(), now_s
        else:
            self._client.ask_soon()
            self._tick_soon()
        if limits is not None and limits.is_used_up:
            self._let_all_in()  # each looks again, and fails

    def close(self) -> None:
        """Let everybody in; nothing more is asked."""
        self.is_on, self._client = False, None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._pending is not None:
            self._pending.cancel()
            self._pending = None
        self._let_all_in()

    async def end(self) -> None:
        """Let everybody in, and report what is not reported yet, if the KV node answers soon.

        Requires: no statement runs any more.
        """
        client = self._client
        if client is not None:
            self._pulled_s = -math.inf
            self._pull()
        self._is_ended = True
        self.close()
        if client is not None:
            try:
                async with asyncio.timeout(_LAST_S_MAX):
                    await self._report_rest(client)
            except TimeoutError:
                _log.info("tokens_not_reported")

    async def _report_rest(self, client: TokenClient) -> None:
        while (request := client.last_request(now_s=self._loop.time())) is not None:
            try:
                got = await self._ask(request)
            except KvError:
                await asyncio.sleep(_RETRY_S)
            else:
                client.granted(_grant(got), now_s=self._loop.time())

    # statements

    def must_wait(self) -> bool:
        """Tell whether a statement, or its next batch of rows, has to wait."""
        if self._client is None or not self._is_paced:
            self._wake()
            return False
        self._pull()
        self._wake()
        return bool(self._holders or self._others) or not self._has_room(self._client)

    def balance_ru(self) -> float:
        """Return what may be used at once; below zero: owed."""
        if self._client is None:
            return 0.0
        return self._client.available_ru(now_s=self._loop.time())

    def expected_wait_s(self) -> float:
        """Return about how long those in line have to wait at the tenant's rate."""
        if self.limits is None or self.limits.rate_ru_per_s <= 0:
            return 0.0
        owed_ru = self.waiting_count * self.cost_ru - min(0.0, self.balance_ru())
        return owed_ru / self.limits.rate_ru_per_s

    def begin(self, *, has_waited: bool) -> None:
        """Take note that a statement begins. `has_waited`: in line, so it has its promise."""
        self._begun += 1
        if not has_waited:
            self._promised_ru += self.cost_ru

    async def wait(self, *, is_holder: bool) -> None:
        """Wait in line until let in. `is_holder`: it holds locks that others may wait for."""
        line = self._holders if is_holder else self._others
        place: asyncio.Future[None] = self._loop.create_future()
        line.append(place)
        self._tick_soon()
        since_s = self._loop.time()
        try:
            await place
        finally:
            if place in line:  # canceled
                line.remove(place)
            if self._client is not None:
                self._client.waited(self._loop.time() - since_s)

    def ask_for_budget(self) -> None:
        """Ask whether a new month has begun: nothing is charged that would make it ask."""
        now_s = self._loop.time()
        if self._client is not None and now_s - self._asked_s >= _USED_UP_ASK_S:
            self._asked_s = now_s
            self._client.ask_soon()
            self._tick_soon()

    @property
    def promised_ru(self) -> float:
        """What statements that were let in are expected to cost still."""
        return self._promised_ru

    @property
    def waiting_count(self) -> int:
        """Statements in line."""
        return len(self._holders) + len(self._others)

    @property
    def _is_paced(self) -> bool:
        """Whether there is a rate to keep to, and not a budget alone."""
        return self.limits is not None and self.limits.rate_ru_per_s > 0

    # the bucket

    def _pull(self) -> None:
        """Charge what was used since the last look at the meter."""
        client, now_s = self._client, self._loop.time()
        since_s = now_s - self._pulled_s
        if client is None or since_s < _PULL_S:
            return
        self._pulled_s = now_s
        metered_ru = self._meter.ru()
        used_ru, self._metered_ru = metered_ru - self._metered_ru, metered_ru
        lapsed = 0.5 ** (since_s / _PROMISE_LIFE_S)
        self._promised_ru = max(0.0, self._promised_ru - used_ru) * lapsed
        if used_ru > 0:
            client.charge(used_ru, now_s=now_s)
            self._begun_ru += used_ru
        if self._begun and now_s - self._averaged_s >= 1.0:
            self._average(now_s)

    def _average(self, now_s: float) -> None:
        cost_ru = self._begun_ru / self._begun
        self.cost_ru += _COST_WEIGHT * (cost_ru - self.cost_ru)
        self._begun, self._begun_ru, self._averaged_s = 0, 0.0, now_s

    def _has_room(self, client: TokenClient) -> bool:
        promised_ru = min(self._promised_ru, _PROMISED_PART_MAX * self._config.cushion_ru)
        return client.available_ru(now_s=self._loop.time()) >= promised_ru

    def _let_in(self, client: TokenClient) -> None:
        for line in (self._holders, self._others):
            while line and (not self._is_paced or self._has_room(client)):
                place = line.popleft()
                if not place.done():
                    place.set_result(None)
                    self._promised_ru += self.cost_ru

    def _let_all_in(self) -> None:
        for line in (self._holders, self._others):
            while line:
                place = line.popleft()
                if not place.done():
                    place.set_result(None)

    # asking

    def _wake(self) -> None:
        if self._timer is None and self._client is not None:
            self._timer = self._loop.call_later(_TICK_S, self._tick)

    def _tick_soon(self) -> None:
        if self._client is not None:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_later(0, self._tick)

    def _tick(self) -> None:
        self._timer, client = None, self._client
        if client is None:
            return
        self._pull()
        self._let_in(client)
        request = client.next_request(now_s=self._loop.time(), waiting=self.waiting_count)
        if request is not None:
            self._send(request)
        if self.waiting_count:
            self._timer = self._loop.call_later(_WAITING_TICK_S, self._tick)
        elif not client.is_at_rest or self._promised_ru > _LAPSED_PART * self.cost_ru:
            self._timer = self._loop.call_later(_TICK_S, self._tick)

    def _send(self, request: TokenRequest) -> None:
        if self._pending is not None:
            self._pending.cancel()  # it is sent again; whichever answer comes is the same
        self._pending = self._ask(request)
        self._pending.add_done_callback(self._answered)

    def _answered(self, pending: "asyncio.Future[TokensGot]") -> None:
        if self._pending is pending:
            self._pending = None
        if pending.cancelled() or pending.exception() is not None or self._client is None:
            return  # without an answer the same is asked again
        self._client.granted(_grant(pending.result()), now_s=self._loop.time())
        self._let_in(self._client)


def _grant(got: TokensGot) -> TokenGrant:
    return TokenGrant(
        sequence=got.sequence,
        at_once_ru=got.at_once_ru,
        trickle_ru=got.trickle_ru,
        trickle_s=got.trickle_s,
        fallback_ru_per_s=got.fallback_ru_per_s,
    )
