"""Lists in a KV store, kept in four ways, so that appends meet in locks, in spans and in deletes.

```
item     one key, the list as its value             read, lock and write of a row
rows     a key for each element: prefix + position   predicate reads, inserts that must be absent
moving   one row, at another key after each append   deletes, tombstones, predicates
blind    like item, but validated instead of locked  (SERIALIZABLE only)
```
"""

from collections import Counter
from contextlib import aclosing

from kvapi.spans import Span
from tests.history.model import Append, Read

KEYS = ("item1", "item2", "rows1", "rows2", "moving", "blind")


def encode(values):
    return b",".join(b"%d" % value for value in values)


def decode(text):
    assert text is not None, "a row that was there before the first transaction is gone"
    return tuple(int(part) for part in text.split(b",") if part)


def prefix(key):
    return b"\x03" + key.encode() + b"/"


def span(key):
    return Span(prefix(key), prefix(key)[:-1] + b"0")


async def scan(txn, key, *, reverse=False):
    rows = []
    async with aclosing(txn.scan_blocks(span(key), reverse=reverse)) as blocks:
        async for block in blocks:
            rows += block.rows()
    return sorted(rows)


def opening_rows():
    """Return what has to be there before the first transaction."""
    return {prefix(key): b"" for key in KEYS if not key.startswith("rows")}


async def read(txn, key, rng):
    """Read one list; return the operation for the history."""
    if key.startswith("rows"):
        rows = await scan(txn, key, reverse=rng.random() < 0.3)
        return Read(key, tuple(int(value) for _, value in rows), is_predicate=True)
    if key == "moving":
        rows = await scan(txn, key)
        assert len(rows) == 1, f"one row that moves, and {len(rows)} were seen: {rows}"
        return Read(key, decode(rows[0][1]), is_predicate=True)
    return Read(key, decode(await txn.get(prefix(key))))


async def read_items(txn):
    """Read several lists in one request."""
    keys = ["item2", "item1"]
    values = await txn.multi_get([prefix(key) for key in keys])
    return [Read(key, decode(value)) for key, value in zip(keys, values, strict=True)]


async def read_locked(txn, key, rng):
    """SELECT … FOR UPDATE, FOR SHARE and the two between."""
    mode = rng.choice(["exclusive", "no key exclusive", "shared", "key shared"])
    (value,) = (await txn.lock_rows([prefix(key)], mode=mode)).values
    return [Read(key, decode(value))]


async def append(txn, key, value, rng):
    """Append to one list; return the operations for the history."""
    if key.startswith("rows"):
        rows = await scan(txn, key)
        row_key = prefix(key) + len(rows).to_bytes(2, "big")
        txn.require_absent(row_key)
        txn.put(row_key, b"%d" % value)
        seen = Read(key, tuple(int(text) for _, text in rows), is_predicate=True)
        return [seen, Append(key, value)]
    if key == "moving":
        return await _move(txn, key, value, rng)
    if key == "blind" and txn.isolation == "serializable":
        values = decode(await txn.get(prefix(key)))
        txn.put(prefix(key), encode([*values, value]))
        return [Read(key, values), Append(key, value)]
    mode = rng.choice(["exclusive", "no key exclusive"])
    locked = await txn.lock_rows([prefix(key)], timeout_ms=rng.choice([0, 0, 30]), mode=mode)
    (old,) = locked.values
    txn.put(prefix(key), encode([*decode(old), value]))
    # A client sees the row if it asks for it: RETURNING.
    return [*([Read(key, decode(old))] if rng.random() < 0.5 else []), Append(key, value)]


GROUPS = Span(b"\x04", b"\x05")


def group_rows(group, size):
    """Return rows that are all there or none: each says how many they are."""
    rows = {b"\x04%d/%d/%d" % (n % 3, group, n): b"%d/%d" % (group, size) for n in range(size)}
    return dict(sorted(rows.items()))


async def write_group(txn, group, size):
    """Write many rows; with small bounds they are staged in several layers and ranges."""
    for key, value in group_rows(group, size).items():
        txn.put(key, value)
        await txn.make_room()


async def read_groups(txn):
    """Return the groups that are there. Fails if only a part of one is."""
    counts = Counter()
    async with aclosing(txn.scan_blocks(GROUPS)) as blocks:
        async for block in blocks:
            counts.update(value for _, value in block.rows())
    groups = {}
    for name, count in counts.items():
        group, size = map(int, name.split(b"/"))
        assert count == size, f"{count} of {size} rows of one transaction were seen, group {group}"
        groups[group] = size
    return groups


async def _move(txn, key, value, rng):
    rows = await scan(txn, key)
    assert len(rows) == 1, f"one row that moves, and {len(rows)} were seen: {rows}"
    row_key = rows[0][0]
    (old,) = (await txn.lock_rows([row_key])).values
    if old is None:  # READ COMMITTED: it moved away while we waited; UPDATE 0
        return []
    txn.delete(row_key)
    places = [prefix(key) + bytes([n]) for n in range(4)]
    places.remove(row_key) if row_key in places else None
    txn.put(rng.choice(places), encode([*decode(old), value]))
    return [Append(key, value)]
