"""CPU for elastic work; `cpu_tokens.txt` tells the rest."""

from admission.elastic_cpu import ElasticConfig, ElasticCpu


def test_a_debt_of_elastic_work_is_forgiven():
    """One huge backfill step would stop all others for minutes."""
    elastic = ElasticCpu(ElasticConfig(cores=1), now_s=0.0)
    elastic.take(1e9)
    elastic.adjust(now_s=2.5, latency_p99_s=0.0)
    assert not elastic.try_take(0.1, now_s=2.6)
    elastic.adjust(now_s=15.0, latency_p99_s=0.0)
    assert elastic.try_take(0.1, now_s=15.1)
