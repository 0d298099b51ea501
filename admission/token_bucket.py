"""A tenant's budget of request units per second: the half that owns the balance.

**Model.** The balance fills at `rate_ru_per_s` up to `burst_ru_max`. Each SQL process of the tenant
holds tokens of its own (`token_client.py`) and asks for more before they run out. What the balance
holds is granted at once. What it does not is *trickled*: granted now, to be used evenly over the
period to come, at the process's part of the refill:

    part     demand of the process over the demand of all that asked lately, and nobody's demand
             counts less than a twentieth of the refill: a newcomer has none to show yet
    rate     part · (refill − debt / 2 s), but no less than part · refill / 20
    debt     what the balance is below zero, without the trickles that are still to come

So a tenant at its limit runs evenly at it, instead of in bursts: a period handed out in advance is
no debt, and what was used beyond is paid back smoothly.

**Invariants.** Whatever is granted, or was borrowed while this half was away, is taken off the
balance once: a request that comes again with the number of the last one gets the same answer and
changes nothing. All state is one plain record, to be stored before the answer leaves. Time never
goes back: a moment before the last one counts as the last one.

**Source.** CockroachDB, RFC 20210604 (distributed token bucket) and
pkg/ccl/multitenantccl/tenantcostserver; the parts by demand are in the RFC only.
"""

from dataclasses import dataclass, field
from typing import Final

_SHARING_S: Final = 10.0  # without a word: then others get its part
_REPAY_S: Final = 2.0  # debt is paid back over so long
_DEMAND_PART_MIN: Final = 0.05  # of the refill: who asks is never given nothing
_REMEMBERED_S: Final = 3600.0  # so long a request may be repeated without being counted again
_TRICKLE_PART_MIN: Final = 0.01  # of a period's
_RATE_PART_MIN: Final = 0.05  # of the refill, however deep the debt
_FALLBACK_BALANCE_S: Final = 3600.0  # the balance is spread over an hour of absence
_SPILL_LIFE_S: Final = 60.0  # what nobody has claimed by then is forgotten by half
_SPILL_S_MAX: Final = 3600.0  # of refill
_WAITER_PART: Final = 0.25  # of the refill: what one waiting statement adds to the demand
_UNBILLED_S: Final = 60.0  # a process at work reports more often
_CLIENTS_MAX: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRequest:
    """What a SQL process asks."""

    client_id: int
    sequence: int  # of this client, rising; the same again for a retry
    wanted_ru: float = 0.0
    consumed_ru: float = 0.0  # since the last request that was answered
    borrowed_ru: float = 0.0  # of that, used without a grant
    returned_ru: float = 0.0  # of what was granted: not used by a process that ends
    demand_ru_per_s: float = 0.0  # smoothed
    waiting: float = 0.0  # statements that wait for tokens, smoothed
    throttled_s: float = 0.0  # statements have waited since the last request that was answered
    period_s: float = 2.0

    @property
    def reports_nothing(self) -> bool:
        """Whether it only asks."""
        amounts = self.consumed_ru, self.borrowed_ru, self.returned_ru, self.throttled_s
        return not any(amounts)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenGrant:
    """What it gets."""

    sequence: int
    at_once_ru: float = 0.0
    trickle_ru: float = 0.0  # to be used evenly, with what is left of the last trickle,
    trickle_s: float = 0.0  # over so long
    fallback_ru_per_s: float = 0.0  # to go on with if nobody answers

    @property
    def is_empty(self) -> bool:
        """Whether it brings nothing."""
        return not (self.at_once_ru or self.trickle_ru)


@dataclass(slots=True, kw_only=True)
class ClientRecord:
    """What the bucket remembers of one SQL process."""

    demand: float
    seen_s: float
    grant: TokenGrant
    trickle_ru_per_s: float = 0.0  # it gets, with what was left of earlier grants
    trickle_ends_s: float = 0.0
    unbilled_ru: float = 0.0  # used and not on the bill yet; below zero: the bill came first

    def coming_ru(self, now_s: float) -> float:
        """Return what its trickle still brings."""
        return self.trickle_ru_per_s * max(0.0, self.trickle_ends_s - now_s)


@dataclass(slots=True, kw_only=True)
class BucketRecord:
    """Everything there is to store. Times are seconds of a clock that outlives the process."""

    rate_ru_per_s: float
    burst_ru_max: float
    balance_ru: float
    updated_s: float
    spilled_ru: float = 0.0  # refill beyond the burst lately: pays for what was borrowed meanwhile
    consumed_ru: float = 0.0  # in all, for the bill
    throttled_s: float = 0.0  # statements have waited in all
    clients: dict[int, ClientRecord] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.rate_ru_per_s <= 0 or self.burst_ru_max < 0:
            raise ValueError("rate_ru_per_s must be > 0 and burst_ru_max >= 0")


class TokenBucket:
    """The balance of one tenant."""

    def __init__(self, record: BucketRecord) -> None:
        self.record = record

    def start(self, *, now_s: float) -> None:
        """Go on with a stored record. If the clock was set back since, all times move with it."""
        record = self.record
        ahead_s = record.updated_s - now_s
        if ahead_s > 0:
            record.updated_s = now_s
            for client in record.clients.values():
                client.seen_s -= ahead_s
                client.trickle_ends_s -= ahead_s

    def set_limits(self, *, rate_ru_per_s: float, burst_ru_max: float, now_s: float) -> None:
        """Change the limits from now on: a lower burst cuts the balance, a lower rate the debt."""
        self._refill(now_s)
        record = self.record
        balance_ru = min(record.balance_ru, burst_ru_max)
        if balance_ru < 0:  # what was handed out at the old rate would take long at the new one
            balance_ru *= min(1.0, rate_ru_per_s / record.rate_ru_per_s)
        self.record = BucketRecord(
            rate_ru_per_s=rate_ru_per_s,
            burst_ru_max=burst_ru_max,
            balance_ru=balance_ru,
            updated_s=record.updated_s,
            consumed_ru=record.consumed_ru,
            throttled_s=record.throttled_s,
            clients=record.clients,
        )

    def request(self, request: TokenRequest, *, now_s: float) -> TokenGrant:
        """Grant tokens, now or over the coming period. The record must be stored before it counts.

        A request that is older than the last one gets the answer of the last one.
        """
        if (answered := self.answered(request)) is not None:
            return answered
        record = self.record
        now_s = self._refill(now_s)
        # A new process borrowed what it started with, and not because nobody answered.
        is_known = request.client_id in record.clients
        unused_ru = min(request.borrowed_ru, record.spilled_ru) if is_known else 0.0
        record.spilled_ru -= unused_ru
        record.balance_ru -= request.borrowed_ru - unused_ru
        record.consumed_ru += request.consumed_ru
        record.throttled_s += request.throttled_s
        client = self._client(request, now_s)
        if request.returned_ru:
            self._take_back(client, request.returned_ru, now_s)
        client.unbilled_ru += request.consumed_ru
        grant = client.grant = self._grant(request, client, now_s)
        record.balance_ru -= grant.at_once_ru + grant.trickle_ru
        return grant

    def answered(self, request: TokenRequest) -> TokenGrant | None:
        """Return the answer that a request has got already, None: it is new."""
        known = self.record.clients.get(request.client_id)
        is_known = known is not None and request.sequence <= known.grant.sequence
        return known.grant if known is not None and is_known else None

    def billed(self, client_id: int, ru: float) -> None:
        """Take note that what a process used is on the bill now.

        The bill may be ahead by what it was granted last; what it used before it asked at all
        is of no account here.
        """
        if (client := self.record.clients.get(client_id)) is not None:
            ahead_ru = client.grant.at_once_ru + client.grant.trickle_ru
            client.unbilled_ru = max(client.unbilled_ru - ru, -ahead_ru)

    def unbilled_ru(self, *, now_s: float) -> float:
        """Return what was used and is not on the bill yet, by processes that still are there."""
        clients = self.record.clients.values()
        alive = [client for client in clients if now_s - client.seen_s <= _UNBILLED_S]
        return sum(max(0.0, client.unbilled_ru) for client in alive)

    def balance_ru(self, *, now_s: float) -> float:
        """Return what is there for everybody; below zero: handed out ahead, or owed."""
        self._refill(now_s)
        return self.record.balance_ru

    def debt_ru(self, *, now_s: float) -> float:
        """Return what was used beyond what was there, and is still to be paid back."""
        now_s = self._refill(now_s)
        return max(0.0, -self.record.balance_ru - self._ahead_ru(now_s))

    def _ahead_ru(self, now_s: float) -> float:
        """Return what is handed out and still to come to the processes."""
        return sum(client.coming_ru(now_s) for client in self.record.clients.values())

    def _refill(self, now_s: float) -> float:
        """Let time pass; return the moment that counts as now."""
        record = self.record
        now_s = max(now_s, record.updated_s)
        elapsed_s = now_s - record.updated_s
        filled = record.balance_ru + record.rate_ru_per_s * elapsed_s
        # Processes report within seconds what they borrowed; what is left then was just not used.
        spilled_ru = record.spilled_ru * 0.5 ** (elapsed_s / _SPILL_LIFE_S)
        spilled_ru += max(0.0, filled - record.burst_ru_max)
        record.spilled_ru = min(spilled_ru, _SPILL_S_MAX * record.rate_ru_per_s)
        record.balance_ru = min(filled, record.burst_ru_max)
        record.updated_s = now_s
        return now_s

    def _take_back(self, client: ClientRecord, ru: float, now_s: float) -> None:
        """Take what a process leaves over, no more than it was granted last."""
        self.record.balance_ru += min(ru, client.grant.at_once_ru + client.grant.trickle_ru)
        client.trickle_ends_s = min(client.trickle_ends_s, now_s)

    def _client(self, request: TokenRequest, now_s: float) -> ClientRecord:
        """Return the record of the asking process, its demand noted; forget who is long gone."""
        clients = self.record.clients
        for client_id in [i for i, c in clients.items() if now_s - c.seen_s > _REMEMBERED_S]:
            del clients[client_id]
        if len(clients) >= _CLIENTS_MAX and request.client_id not in clients:
            del clients[min(clients, key=lambda client_id: clients[client_id].seen_s)]
        waiting = _WAITER_PART * self.record.rate_ru_per_s * request.waiting
        client = clients.setdefault(
            request.client_id,
            ClientRecord(demand=0.0, seen_s=0.0, grant=TokenGrant(sequence=0)),
        )
        least = _DEMAND_PART_MIN * self.record.rate_ru_per_s
        client.demand = max(request.demand_ru_per_s + waiting, least)
        client.seen_s = now_s
        return client

    def _part(self, client: ClientRecord) -> float:
        others = self.record.clients.values()
        demands = [o.demand for o in others if client.seen_s - o.seen_s <= _SHARING_S]
        return client.demand / sum(demands)

    def _grant(self, request: TokenRequest, client: ClientRecord, now_s: float) -> TokenGrant:
        record, period_s = self.record, request.period_s
        part = self._part(client)
        refill = record.rate_ru_per_s * part
        at_once = min(request.wanted_ru, max(record.balance_ru, 0.0) * part)
        debt = max(0.0, -record.balance_ru - self._ahead_ru(now_s))
        rate = max(refill - part * debt / _REPAY_S, _RATE_PART_MIN * refill)
        # What is still to come from earlier grants is a part of the new trickle.
        coming = client.coming_ru(now_s)
        trickle_ru = max(0.0, min(request.wanted_ru - at_once, rate * period_s - coming))
        if trickle_ru < _TRICKLE_PART_MIN * rate * period_s:
            trickle_ru = 0.0  # what comes already is as good
        trickle_s = (coming + trickle_ru) / rate if trickle_ru > 0 else 0.0
        if trickle_ru > 0:
            client.trickle_ru_per_s, client.trickle_ends_s = rate, now_s + trickle_s
        spare = max(record.balance_ru - at_once, 0.0)
        return TokenGrant(
            sequence=request.sequence,
            at_once_ru=at_once,
            trickle_ru=trickle_ru,
            trickle_s=trickle_s,
            fallback_ru_per_s=refill + part * spare / _FALLBACK_BALANCE_S,
        )
