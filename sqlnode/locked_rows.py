"""Answers to a lock, with the transaction's own writes laid over the newest values.

**Model.** A lock answers the newest value. If the row changed since the snapshot, everything read
so far is validated at the present (a *refresh*) and the snapshot moves there: the transaction goes
on as if it had begun later. That fails with WriteConflict only if something it really read has
changed. A locked key cannot change any more, so it needs no validation; hence a transaction that
locks rows without reading them before never fails under contention.
"""

from collections.abc import Container, Sequence

from kvapi.client.results import ABSENT, FOUND, SKIPPED, MultiGot
from kvapi.errors import WriteConflict
from sqlnode.own_writes import Recent


def halves(keys: Sequence[bytes]) -> tuple[Sequence[bytes], Sequence[bytes]]:
    """Return both halves of the keys, in order."""
    middle = len(keys) // 2
    return keys[:middle], keys[middle:]


def from_buffer(keys: Sequence[bytes], writes: Recent, read_ts: int) -> MultiGot:
    """Return the answer for keys that are all locked and written already."""
    values = [writes[key] for key in keys]
    found = bytes([ABSENT if value is None else FOUND for value in values])
    return MultiGot(values, [0] * len(keys), read_ts, found)


def with_own_writes(keys: Sequence[bytes], got: MultiGot, writes: Recent) -> MultiGot:
    """Return the answer with written values instead of stored ones; skipped rows stay skipped."""
    if not writes or not any(key in writes for key in keys):
        return got
    values = list(got.values)
    found = bytearray(got.found)
    for i, key in enumerate(keys):
        if key in writes and found[i] != SKIPPED:
            values[i] = writes[key]
            found[i] = ABSENT if values[i] is None else FOUND
    return MultiGot(values, got.commit_ts, got.read_ts, bytes(found))


def without(keys: Sequence[bytes], got: MultiGot, left_out: Container[bytes]) -> MultiGot:
    """Return the answer with some keys as if they had been skipped."""
    found = bytes(SKIPPED if k in left_out else f for k, f in zip(keys, got.found, strict=True))
    values = [None if k in left_out else v for k, v in zip(keys, got.values, strict=True)]
    return MultiGot(values, got.commit_ts, got.read_ts, found)


def is_overtaken(
    keys: Sequence[bytes], got: MultiGot, read_ts: int, read_keys: Container[bytes]
) -> bool:
    """Tell whether a snapshot at `read_ts` has to move to agree with the locked rows.

    Raises: WriteConflict if one of them was read there and has changed since.
    """
    is_newer = False
    for key, state, commit_ts in zip(keys, got.found, got.commit_ts, strict=True):
        if state == FOUND and commit_ts > read_ts:
            is_newer = True
            if key in read_keys:
                raise WriteConflict("a row read before changed meanwhile", key=key)
        elif state == ABSENT and got.read_ts > read_ts:
            is_newer = True
    return is_newer


def refuse_overtaken(before: MultiGot, got: MultiGot) -> None:
    """Refuse locked rows that are not as in the snapshot, `before`: the first updater has won.

    Raises: WriteConflict. Source: PostgreSQL docs, "Repeatable Read Isolation Level".
    """
    for was, ts, state, newest_ts in zip(
        before.found, before.commit_ts, got.found, got.commit_ts, strict=True
    ):
        if state == ABSENT and was == FOUND:
            raise WriteConflict("could not serialize access due to concurrent delete")
        if state == FOUND and newest_ts != ts:
            raise WriteConflict("could not serialize access due to concurrent update")


def joined(parts: Sequence[MultiGot], read_ts: int) -> MultiGot:
    """Return the answers of several requests as one."""
    return MultiGot(
        [value for part in parts for value in part.values],
        [commit_ts for part in parts for commit_ts in part.commit_ts],
        read_ts,
        b"".join([part.found for part in parts]),
    )
