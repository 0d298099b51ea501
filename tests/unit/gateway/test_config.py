"""The settings of the gateway that follow from others."""

import pytest

from gateway.config import GatewayConfig
from kvnode.node_config import KvnodeConfig, NodeConfig
from runtime.config import load_config


@pytest.mark.parametrize(
    ("given", "has_admission", "found"),
    [
        ({}, True, "realtime"),
        ({}, False, "off"),
        ({"cpu_priority": "nice"}, False, "nice"),
        ({"cpu_priority": "off"}, True, "off"),
    ],
)
def test_cpu_priorities_follow_the_one_switch(given, has_admission, found):
    """Off would be half off, and a comparison of on and off one of something else."""
    config = GatewayConfig(**given).resolved(has_admission=has_admission)
    assert config.cpu_priority == found


def test_real_time_of_the_kv_node_follows_it_too():
    """As above; whoever says it gets what was said."""
    assert NodeConfig().is_realtime
    assert not NodeConfig(admission=False).is_realtime
    names = {"INSULA_KVNODE__ADMISSION": "false", "INSULA_KVNODE__REALTIME": "true"}
    said = load_config(KvnodeConfig, environment=names).kvnode
    assert (said.admission, said.is_realtime) == (False, True)
