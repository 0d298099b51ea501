"""kvnode.txn.writer_thread: what ends it ends the process."""

import json
import subprocess
import sys

DYING = """
import asyncio
from kvnode.storage.memory_engine import MemoryEngine
from kvnode.txn.writer_thread import WriterThread
from runtime.logging import configure_logging

class Broken(BaseException):
    pass

class BrokenStore(MemoryEngine):
    def write(self):
        raise Broken("on purpose")

async def wait():
    configure_logging("kvnode")
    writer = WriterThread(BrokenStore(), asyncio.get_running_loop())
    answer = asyncio.Event()
    writer.run([], lambda *_: answer.set())
    await answer.wait()

asyncio.run(wait())
"""


def test_a_writer_that_dies_ends_the_node():
    """Every commit would wait for ever, of a node that says that it is well."""
    command = [sys.executable, "-c", DYING]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 3
    (line,) = [json.loads(text) for text in done.stderr.splitlines()]
    assert (line["level"], line["event"]) == ("CRITICAL", "writer_died")
    assert "on purpose" in json.dumps(line)
