"""The first statements of a process reach DuckDB from several threads at once."""

import subprocess
import sys

PROGRAM = """
import threading
from sqlnode.vecexec.engine import EngineConfig, engine
from sqlnode.vecexec.udfs import Udf

def work():
    for _ in range(3):
        statement = engine(EngineConfig()).open()
        number = threading.get_ident()
        statement.register([], [Udf(f"f{number}", lambda a: a, ("VARCHAR",), "VARCHAR", False)])
        statement.close()

threads = [threading.Thread(target=work) for _ in range(16)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


def test_sixteen_at_once_do_not_deadlock():
    """A SQL process hangs for ever, with all its sessions, because several began with a query."""
    subprocess.run([sys.executable, "-c", PROGRAM], check=True, timeout=60)
