"""The KV node's process on a disk that can become slow: syncs take longer while a file exists.

Only a test starts it. INSULA_TEST_SLOW_FILE names the file, whose text is the delay in seconds.
"""

import os
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

from kvnode.core import Core
from kvnode.main import main


class SlowStore:
    """An engine whose commits become durable late."""

    def __init__(self, engine, file):
        self._engine = engine
        self._file = file

    def __getattr__(self, name):
        return getattr(self._engine, name)

    @contextmanager
    def write(self, **options):
        with self._engine.write(**options) as txn:
            yield txn
        with suppress(FileNotFoundError):
            time.sleep(float(self._file.read_text()))


class SlowDisk(Core):
    """The writer's thread meets the slow disk; reads are of the same store as ever."""

    def __init__(self, engine, writer, **named):
        writer._engine = SlowStore(engine, Path(os.environ["INSULA_TEST_SLOW_FILE"]))
        super().__init__(engine, writer, **named)


if __name__ == "__main__":
    sys.exit(main(core_type=SlowDisk))
