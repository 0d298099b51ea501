"""`insula start`: the whole stack in the foreground."""

import os
from pathlib import Path

from cli.running_stack import resolve_data_dir
from cli.stack_config import FOREIGN_SECTIONS, StackConfig
from runtime.config import load_config
from runtime.logging import configure_logging
from runtime.os_process import set_title


def run_stack(
    data_dir: Path | None,
    addresses: dict[str, str | None],
    config_file: Path | None,
    ready_file: Path | None,
) -> int:
    """Run the supervisor; return the exit code. Raises: ConfigError."""
    from cli.supervisor import Supervisor

    config_path = None if config_file is None else config_file.absolute()
    config = load_config(
        StackConfig,
        file=config_path,
        environment=os.environ,
        flags={"supervisor": addresses},
        foreign_sections=FOREIGN_SECTIONS,
    )
    configure_logging("supervisor")
    set_title("insula start")
    supervisor = Supervisor(
        resolve_data_dir(data_dir),
        config.supervisor,
        config_file=config_path,
        ready_file=None if ready_file is None else ready_file.absolute(),
    )
    return supervisor.run()
