"""Runs a supervisor whose SQL processes are fakes; all else is real."""

import sys
from pathlib import Path

from cli.stack_config import SupervisorConfig
from cli.supervisor import MODULES, Supervisor
from runtime.logging import configure_logging

FAKES = {**MODULES, "zygote": "tests.fakes.echo_zygote"}

if __name__ == "__main__":
    configure_logging("supervisor")
    data_dir, ready_file = (Path(text) for text in sys.argv[1:3])
    anywhere = SupervisorConfig(
        pg="127.0.0.1:0", http="127.0.0.1:0", kv="127.0.0.1:0", admin="127.0.0.1:0", drain_s=2.0
    )
    supervisor = Supervisor(data_dir, anywhere, ready_file=ready_file, modules=FAKES)
    sys.exit(supervisor.run())
