"""`insula start`: the whole stack in the foreground."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import gateway.config
import kvnode.node_config
import sqlnode.process_config
from cli.running_stack import resolve_data_dir
from cli.stack_config import FOREIGN_SECTIONS, StackConfig
from gateway.config import Config as GatewayConfig
from kvnode.node_config import KvnodeConfig
from runtime.config import load_config
from runtime.logging import configure_logging
from runtime.os_process import set_title
from sqlnode.process_config import Config as SqlConfig

_CHILDREN: Final[tuple[tuple[type[Any], tuple[str, ...]], ...]] = (
    (GatewayConfig, gateway.config.FOREIGN_SECTIONS),
    (SqlConfig, sqlnode.process_config.FOREIGN_SECTIONS),
    (KvnodeConfig, kvnode.node_config.FOREIGN_SECTIONS),
)


def _check_children(file: Path | None) -> None:
    """Refuse settings that a child would refuse: here the operator sees why."""
    for config_type, foreign in _CHILDREN:
        load_config(config_type, file=file, environment=os.environ, foreign_sections=foreign)


def _has_admission(file: Path | None) -> bool:
    """Tell whether tenants are kept apart: the one switch, for all processes."""
    foreign = kvnode.node_config.FOREIGN_SECTIONS
    found = load_config(KvnodeConfig, file=file, environment=os.environ, foreign_sections=foreign)
    return found.kvnode.admission


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
    _check_children(config_path)
    configure_logging("supervisor")
    set_title("insula start")
    has_admission = _has_admission(config_path)
    settings = config.supervisor if has_admission else replace(config.supervisor, cgroup="off")
    supervisor = Supervisor(
        resolve_data_dir(data_dir),
        settings,
        has_admission=has_admission,
        config_file=config_path,
        ready_file=None if ready_file is None else ready_file.absolute(),
    )
    return supervisor.run()
