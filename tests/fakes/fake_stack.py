"""Runs a supervisor of which one process is a fake; all else is real.

python -m tests.fakes.fake_stack DATA_DIR READY_FILE [PROCESS MODULE]
"""

import sys
from pathlib import Path

from cli.stack_config import SupervisorConfig
from cli.supervisor import MODULES, Supervisor
from runtime.logging import configure_logging

if __name__ == "__main__":
    configure_logging("supervisor")
    data_dir, ready_file = (Path(text) for text in sys.argv[1:3])
    process, module = sys.argv[3:] or ("zygote", "tests.fakes.echo_zygote")
    anywhere = SupervisorConfig(
        pg="127.0.0.1:0",
        http="127.0.0.1:0",
        kv="127.0.0.1:0",
        admin="127.0.0.1:0",
        drain_s=2.0,
        cgroup="off",
    )
    supervisor = Supervisor(
        data_dir, anywhere, ready_file=ready_file, modules={**MODULES, process: module}
    )
    sys.exit(supervisor.run())
