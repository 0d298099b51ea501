"""The report says what was measured, and checks it as it says."""

import doctest

import pytest

from bench import load, process_cpu, report
from bench.checks import check, checks_table
from bench.main import Report
from bench.measure_pgbench import read_pgbench
from bench.process_cpu import tree_cpu_s
from bench.programs import BenchFailed, run_program
from bench.report import Row, Sample, table


def row(key, **sample):
    return Row(
        key=key, what="KV get", setting="unix", ratio_of="rate_per_s", insula=Sample(**sample)
    )


@pytest.mark.parametrize("module", [load, report, process_cpu], ids=lambda m: m.__name__)
def test_examples(module):
    """Docstrings would show what the code does not do."""
    assert doctest.testmod(module).failed == 0


def test_table_puts_both_side_by_side():
    """The ratio is the number that counts on a machine that others use."""
    both = Row(
        key="x",
        what="TPC-B",
        setting="simple",
        ratio_of="rate_per_s",
        insula=Sample(rate_per_s=500.0, generator_cpu=0.5, failed_count=2),
        postgres=Sample(rate_per_s=1000.0, p50_ms=1.0),
    )
    assert both.ratio == 0.5
    line = table([both]).splitlines()[-1]
    assert line == (
        "| TPC-B | simple | 500/s, **2 failed** | 1,000/s, p50 1.00 ms "
        "| 0.500× the rate | 0.50 / – |"
    )


def test_no_postgres_is_no_ratio():
    """A machine without PostgreSQL would get no report."""
    assert row("x", rate_per_s=1.0).ratio is None
    assert "| – | – |" in table([row("x", rate_per_s=1.0)])


def test_targets():
    """A regression would be printed as ok."""
    rows = [
        row("kv/get/unix/1", p50_ms=0.2),
        row("kv/get/unix/64", rate_per_s=90_000.0),
        row("connect/row", p50_ms=10.0, p99_ms=50.0, not_warm_count=0),
    ]
    found = {(one.target.key, one.target.field): one.is_ok for one in check(rows)}
    assert found["kv/get/unix/1", "p50_ms"] is False
    assert found["kv/get/unix/64", "rate_per_s"] is True
    assert found["connect/row", "not_warm_count"] is True
    assert found["kv/get/grpc/64", "rate_per_s"] is None
    text = checks_table(check(rows))
    assert "gRPC" not in text
    assert text.count("**no**") == 1


def test_json_and_markdown_have_everything():
    """A failed part would vanish from the report."""
    made = Report({"machine": "m"})
    made.rows.append(row("kv/get/unix/1", p50_ms=0.01))
    made.failures["tpcb"] = "BenchFailed: no"
    assert "**tpcb failed**" in made.markdown()
    assert made.as_dict()["rows"][0]["insula"]["p50_ms"] == 0.01
    assert made.as_dict()["checks"][0]["ok"] is True


def test_reading_pgbench(tmp_path):
    """Rates, medians and failures would come from the wrong place."""
    (tmp_path / "log.1").write_text("0 1 200 0 1 2\n0 2 400 0 1 2\n0 3 failed 0 1 2\n")
    (tmp_path / "log.1.1").write_text("1 1 300 0 1 2\n")
    output = "number of failed transactions: 1 (25.000%)\ntps = 812.5 (without initial)\n"
    sample = read_pgbench(output, tmp_path, server_cpu_s=0.003)
    assert (sample.rate_per_s, sample.failed_count) == (812.5, 1)
    assert sample.p50_ms == pytest.approx(0.3, rel=0.01)
    assert sample.server_cpu_ms == pytest.approx(1.0)
    with pytest.raises(BenchFailed, match="no rate"):
        read_pgbench("connection refused", tmp_path, server_cpu_s=0.0)


def test_programs_that_fail_or_hang_are_reported():
    """The bench would hang, or print numbers of a program that broke."""
    with pytest.raises(BenchFailed, match=r"sh ended with 3: oops"):
        run_program(["sh", "-c", "echo oops >&2; exit 3"], limit_s=10)
    with pytest.raises(BenchFailed, match="more than"):
        run_program(["sleep", "10"], limit_s=0.05)
    assert run_program(["cat"], limit_s=10, text="in").output == "in"


def test_cpu_of_a_tree():
    """CPU per transaction would leave out the processes that did the work."""
    assert tree_cpu_s(1) > 0
    assert tree_cpu_s(2**22 + 1) == 0
