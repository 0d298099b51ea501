"""Cutting a chunk of writes into pieces that the writer takes in one quantum each."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from kvapi.errors import KvError
from kvnode.mvcc.intents import Place
from kvnode.txn.group_commit import GroupCommit
from kvnode.txn.layer_operations import StageOperation
from kvnode.txn.layers import StageRequest

ROWS_MAX: Final = 1024
BYTES_MAX: Final = 256 << 10


class Piece(NamedTuple):
    """Some of the writes."""

    puts: Mapping[bytes, bytes]
    deletes: Sequence[bytes]
    size_bytes: int


def cut(puts: Mapping[bytes, bytes], deletes: Sequence[bytes], size_bytes: int) -> Iterator[Piece]:
    """Yield all writes in pieces; at least one, and one row at least in each.

    >>> puts = {b"a": bytes(BYTES_MAX), b"b": b"", b"c": b""}
    >>> [len(piece.puts) for piece in cut(puts, [], 1 << 20)]
    [1, 2]
    """
    if len(puts) + len(deletes) <= ROWS_MAX and size_bytes <= 2 * BYTES_MAX:
        yield Piece(puts, deletes, size_bytes)
        return
    part: dict[bytes, bytes] = {}
    size = 0
    for key, value in puts.items():
        part[key] = value
        size += len(key) + len(value)
        if len(part) == ROWS_MAX or size >= BYTES_MAX:
            yield Piece(part, (), size)
            part, size = {}, 0
    if part:
        yield Piece(part, (), size)
    for first in range(0, len(deletes), ROWS_MAX):
        keys = deletes[first : first + ROWS_MAX]
        yield Piece({}, keys, sum(map(len, keys)))


def stage_in_pieces(
    group: GroupCommit,
    request: StageRequest,
    place: Place,
    *,
    layer_bytes: int,
    wait_s_max: float,
    on_finish: Callable[[KvError | None], None],
) -> None:
    """Have a chunk written; `on_finish` gets the first error when all pieces have their outcome.

    `wait_s_max`: after so long it is given up, if nothing of it has been written.
    """
    pieces = list(cut(request.puts, request.deletes, request.size_bytes))
    missing, errors = len(pieces), list[KvError]()
    taken = request.ticket.hand_over() if request.ticket is not None else None

    def finish(operation: StageOperation, error: KvError | None) -> None:
        nonlocal missing
        missing -= 1
        request.cpu_s += operation.cpu_s
        if error is not None:
            errors.append(error)
        if not missing:
            on_finish(errors[0] if errors else None)
        elif error is not None and operation is request.pieces[0]:
            group.withdraw(request.pieces[1:], error)  # of what came too late

    request.pieces = [
        StageOperation(
            tenant_id=request.tenant.id,
            place=place,
            puts=piece.puts,
            deletes=piece.deletes,
            layer_bytes=layer_bytes,
            size_bytes=piece.size_bytes,
            on_finish=finish,
        )
        for piece in pieces
    ]
    first = request.pieces[0]
    first.taken, first.wait_s_max = taken, wait_s_max  # it stands for all
    for operation in request.pieces:
        group.submit(operation)
