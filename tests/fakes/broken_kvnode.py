"""The KV node's process without validation. Only a test starts it: production has no switch."""

import sys

from kvnode.main import main
from tests.fakes.broken_node import Unvalidated

if __name__ == "__main__":
    sys.exit(main(core_type=Unvalidated))
