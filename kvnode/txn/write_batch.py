"""One batch of operations in one atomic write, in the writer thread."""

from collections.abc import Callable, Sequence

from kvapi.errors import DiskFull, InternalError, Throttled
from kvnode.storage.engine import Engine, StoreNeedsGrowth
from kvnode.txn.group_commit import BatchOutcome, GaveWay, Operation


def write_batch(
    engine: Engine, operations: Sequence[Operation], gives_way: Callable[[], bool] = lambda: False
) -> BatchOutcome:
    """Write `operations` in one atomic write; if one of them is at fault, find out which.

    As long as nothing is on its way to the disk, `gives_way` may give the whole of it up.
    """
    is_synced = any(getattr(operation, "needs_sync", True) for operation in operations)
    try:
        with engine.write(is_synced=is_synced) as txn:
            for operation in operations:
                operation.apply(txn)
                if gives_way():
                    raise GaveWay
    except (StoreNeedsGrowth, DiskFull, GaveWay) as error:
        return error
    except Exception as error:
        if len(operations) == 1:
            return [error]
        return _write_one_by_one(engine, operations)
    return [None] * len(operations)


def _write_one_by_one(engine: Engine, operations: Sequence[Operation]) -> BatchOutcome:
    outcomes: list[Exception | None] = []
    failed_tenants: set[int] = set()
    for operation in operations:
        if operation.tenant_id in failed_tenants:
            outcomes.append(InternalError("an earlier write of this tenant failed"))
            continue
        try:
            with engine.write() as txn:
                operation.apply(txn)
        except StoreNeedsGrowth:
            failed_tenants.add(operation.tenant_id)
            outcomes.append(Throttled("the store has to grow first", number=10))
        except Exception as error:
            failed_tenants.add(operation.tenant_id)
            outcomes.append(error)
        else:
            outcomes.append(None)
    return outcomes
