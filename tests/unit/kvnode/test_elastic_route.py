"""Which requests take what others leave: bulk, unless somebody may wait for its locks."""

from types import SimpleNamespace

import pytest

from kvapi.pb import kv_pb2
from kvnode.admission.lane import ELASTIC
from kvnode.server.elastic_route import is_elastic, read_priority

TXN = b"t" * 16


def session(*, holds_rows=False, is_shared=True, waiting=()):
    return SimpleNamespace(
        core=SimpleNamespace(scheduler=SimpleNamespace(is_shared=is_shared)),
        elastic=SimpleNamespace(txns=dict.fromkeys(waiting)),
        holds_rows=lambda txn_id: holds_rows,
    )


def chunk():
    return kv_pb2.Request(txn_id=TXN, stage=kv_pb2.Stage())


def scan(priority=ELASTIC):
    return kv_pb2.Request(txn_id=TXN, priority=priority, scan=kv_pb2.Scan())


@pytest.mark.parametrize(("request_", "name"), [(chunk(), "stage"), (scan(), "scan")])
def test_who_holds_rows_is_not_elastic(request_, name):
    """Who waits for a row waits until the node is idle, for what its holder does first."""
    assert is_elastic(session(), request_, name)
    assert not is_elastic(session(holds_rows=True), request_, name)
    assert not is_elastic(session(is_shared=False), request_, name), "there is nobody to wait for"


def test_what_follows_a_waiting_chunk_waits_behind_it():
    """A COMMIT overtakes the rows that it commits; a ROLLBACK waits while its locks are held."""
    waiting = session(waiting=[TXN])
    request = kv_pb2.Request(txn_id=TXN)
    assert is_elastic(waiting, request, "commit")
    assert not is_elastic(waiting, request, "rollback")
    assert not is_elastic(waiting, request, "heartbeat")


def test_reads_of_who_holds_rows_have_normal_priority():
    """An export FOR UPDATE holds rows for as long as its neighbours are busy."""
    assert read_priority(session(), scan()) == ELASTIC
    assert read_priority(session(holds_rows=True), scan()) == 0
