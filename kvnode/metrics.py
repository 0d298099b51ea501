"""Every metric of the KV node, read from plain counters when Prometheus asks.

The hot path adds integers; a Prometheus counter object there would cost as much as a read. No
metric has a tenant label: their number is not bounded.
"""

import os
from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from admission.cpu_tokens import CpuTier
from admission.io_tokens import IoTier
from kvnode.admission.waits import KINDS
from kvnode.core import Core
from kvnode.memory import LOCK_BYTES, private_bytes
from kvnode.ranges.keeper import RangeKeeper
from kvnode.tenants.maintenance import Maintenance
from runtime.os_priority import is_realtime


class KvnodeMetrics(Collector):
    """Shows a core's counters."""

    def __init__(
        self,
        core: Core,
        maintenance: Maintenance,
        keeper: RangeKeeper,
        registry: CollectorRegistry,
    ) -> None:
        self._core = core
        self._maintenance = maintenance
        self._keeper = keeper
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        for name, text, count in self._counters():
            yield CounterMetricFamily(f"insula_kvnode_{name}", text, value=count)
        for name, text, value in self._gauges():
            yield GaugeMetricFamily(f"insula_kvnode_{name}", text, value=value)

        waits = HistogramMetricFamily(
            "insula_kvnode_admission_wait_seconds",
            "Time from request to turn, of what had to wait.",
            labels=["work_kind"],
        )
        for kind in KINDS:
            buckets, sum_s = self._core.scheduler.waits.buckets(kind)
            waits.add_metric([kind], buckets=buckets, sum_value=sum_s)
        yield waits
        yield from self._stalls()
        yield from self._memory()

    def _memory(self) -> Iterator[Metric]:
        memory = self._core.memory
        for name, text, value in (
            ("bytes", "Private memory of the process (RssAnon).", private_bytes()),
            ("bytes_max", "Bound of the former: [kvnode] memory_bytes_max.", memory.bytes_max),
            ("short", "Whether it is so near its bound that the parts shrink.", memory.is_short),
        ):
            yield GaugeMetricFamily(f"insula_kvnode_memory_{name}", text, value=value)
        used = GaugeMetricFamily(
            "insula_kvnode_memory_part_bytes", "What is counted of a part.", labels=["part"]
        )
        most = GaugeMetricFamily(
            "insula_kvnode_memory_part_bytes_max", "Its bound.", labels=["part"]
        )
        for part, pool in memory.pools().items():
            used.add_metric([part], pool.total)
            most.add_metric([part], pool.bytes_max)
        used.add_metric(["recent"], memory.recent.total)
        most.add_metric(["recent"], memory.recent.bytes_max)
        used.add_metric(["locks"], len(self._core.locks.table) * LOCK_BYTES)
        most.add_metric(["locks"], memory.locks_max * LOCK_BYTES)
        yield used
        yield most

    def _stalls(self) -> Iterator[Metric]:
        watchdog = self._core.watchdog
        for name, text, stalls in (
            ("held", "Stretches over 5 ms of CPU time on the loop.", watchdog.stalls),
            ("late", "How late the loop's timer came, if over 5 ms.", watchdog.delays),
        ):
            yield HistogramMetricFamily(
                f"insula_kvnode_loop_{name}_seconds",
                text,
                buckets=stalls.buckets(),
                sum_value=stalls.sum_s,
            )

    def _counters(self) -> list[tuple[str, str, float]]:
        core = self._core
        stats, group, sequencer = core.stats, core.group, core.sequencer
        return [
            ("requests", "Requests received.", stats.requests),
            ("request_errors", "Requests answered with an error.", stats.errors),
            ("frames_received", "Frames received.", stats.frames_received),
            ("frames_sent", "Frames sent.", stats.frames_sent),
            ("received_bytes", "Bytes of frames received.", stats.bytes_received),
            ("sent_bytes", "Bytes of frames sent.", stats.bytes_sent),
            ("streams_opened", "Streams opened.", stats.streams_opened),
            ("streams_refused", "Streams refused before their hello.", stats.streams_refused),
            (
                "streams_unread",
                "Streams ended whose clients left answers unread.",
                core.unread.cut_count,
            ),
            ("admission_turns", "Slices given to what waits.", core.scheduler.turn_count),
            ("loop_held", "Stretches over 5 ms on the loop.", core.watchdog.held_count),
            ("bucket_requests", "Requests for tokens.", core.buckets.request_count),
            ("bucket_granted_ru", "Request units granted.", core.buckets.granted_ru),
            (
                "bucket_throttled_seconds",
                "Time that statements waited for tokens.",
                core.buckets.throttled_s,
            ),
            ("commits", "Transactions committed.", sequencer.commit_count),
            ("commit_conflicts", "Commits refused by validation.", sequencer.conflict_count),
            (
                "long_validations",
                "Validations of commits and refreshes that took more than one turn of the loop.",
                core.validations.begun_count,
            ),
            ("write_batches", "Atomic writes to the store, each one sync.", group.batch_count),
            ("write_operations", "Operations in those writes.", group.operation_count),
            ("intents_moved", "Intents of committed layers moved.", core.intents.mover.moved_count),
            (
                "intents_discarded",
                "Intents that never committed, removed.",
                core.intents.mover.discarded_count,
            ),
            (
                "transactions_lapsed",
                "Large transactions rolled back for want of heartbeats.",
                core.intents.lapsed_count,
            ),
            (
                "versions_collected",
                "Old versions removed.",
                self._maintenance.versions_collected,
            ),
            (
                "range_splits",
                "Ranges split, by size, load or an operator.",
                self._keeper.split_count,
            ),
            ("range_merges", "Ranges merged with a neighbour.", self._keeper.merge_count),
        ]

    def _gauges(self) -> list[tuple[str, str, float]]:
        core = self._core
        return [
            ("realtime", "Whether it runs as soon as it wakes.", is_realtime(os.getpid())),
            ("streams", "Open streams.", core.stats.stream_count),
            ("writes_queued", "Writes that are not durable yet.", core.group.queued_count),
            ("writes_queued_max", "Bound of the former.", core.group.queue_operations_max),
            ("staged_bytes", "Writes that are being staged.", core.memory.staging.total),
            ("staged_bytes_max", "Bound of the former.", core.memory.staging.bytes_max),
            (
                "intents_bytes",
                "Staged writes not moved or discarded yet.",
                sum(tenant.layers.size_bytes for tenant in core.tenants.loaded()),
            ),
            (
                "buckets",
                "Token buckets in memory, one for each who is limited.",
                sum(tenant.bucket is not None for tenant in core.tenants.loaded()),
            ),
            ("ranges", "Ranges in memory.", self._keeper.range_count()),
            *self._admission(),
            ("admission_queue", "Tasks that wait for their turn.", len(core.scheduler)),
            (
                "reads_waiting",
                "Long reads that wait for a slot of their stream, for its client, or for room.",
                core.scheduler.aside_count,
            ),
            ("locked_keys", "Keys locked or waited for.", len(core.locks.table)),
            ("lock_waits", "Lock requests that wait.", core.locks.table.waiting_count()),
            ("store_used_bytes", "Bytes of the store in use.", core.engine.used_bytes()),
            ("protected_timestamps", "Snapshots kept from collection.", self._protected_count()),
            (
                "protected_timestamps_age_seconds",
                "How long the one held longest has been.",
                self._protected_age_s(),
            ),
            (
                "gc_threshold_age_seconds",
                "Age of the oldest version that collection left.",
                self._maintenance.oldest_garbage_age_s(),
            ),
            ("durable_ts", "Newest durable timestamp.", core.timeline.durable_ts),
        ]

    def _admission(self) -> list[tuple[str, str, float]]:
        core = self._core
        scheduler, watchdog = core.scheduler, core.watchdog
        levels, rates = scheduler.tokens.levels, scheduler.tokens.rates
        return [
            ("admission_enabled", "Whether admission control is on.", scheduler.is_enabled),
            ("admission_requests_queued", "Requests in lanes.", core.lane_room.requests),
            ("admission_requests_queued_bytes", "Their bytes.", core.lane_room.bytes),
            (
                "admission_requests_queued_bytes_max",
                "Bound of the former; before it streams are read no further.",
                core.memory.lanes.bytes_max,
            ),
            ("admission_cpu_tokens", "CPU seconds at hand.", levels[CpuTier.REGULAR]),
            ("admission_cpu_rate", "CPU seconds given out per second.", rates[CpuTier.REGULAR]),
            (
                "admission_cpu_burst_tokens",
                "CPU seconds at hand for who is within its share.",
                levels[CpuTier.BURST],
            ),
            ("admission_cpu_burst_rate", "The same per second.", rates[CpuTier.BURST]),
            (
                "admission_cpu_multiplier",
                "CPU of the process for 1 s.",
                scheduler.tokens.multiplier,
            ),
            ("admission_elastic_limit", "Part of a core.", scheduler.elastic.tokens.limit),
            (
                "admission_elastic_tokens",
                "CPU seconds at hand for elastic work.",
                scheduler.elastic.tokens.level,
            ),
            (
                "admission_io_tokens_bytes",
                "Bytes that commits may write now; +Inf: no limit.",
                core.io.tokens.levels[IoTier.REGULAR],
            ),
            (
                "admission_io_elastic_tokens_bytes",
                "Bytes that bulk may write now.",
                core.io.tokens.levels[IoTier.ELASTIC],
            ),
            ("admission_io_limit_bytes", "Per second; +Inf: no limit.", core.io.tokens.limit),
            (
                "admission_io_commit_limit_bytes",
                "The same of commits.",
                core.io.tokens.regular_limit,
            ),
            ("admission_io_score", "Latency of commits, of what is full.", core.io.tokens.score),
            ("admission_io_bulk_waits", "Waits of bulk for the disk.", core.io.bulk_wait_count),
            ("admission_bulk_queued", "Bulk that waits to be written.", len(core.bulk)),
            ("admission_writes_waited", "Commits that waited for it.", core.writes.wait_count),
            ("admission_writes_queued", "Commits that wait for it now.", len(core.writes)),
            ("loop_latency_p99_seconds", "How late timers come.", watchdog.latency_p99_s()),
            ("loop_held_seconds_max", "Longest stretch of CPU time.", watchdog.held_s_max),
        ]

    def _protected_count(self) -> int:
        return sum(len(tenant.protections) for tenant in self._core.tenants.loaded())

    def _protected_age_s(self) -> float:
        now_s = self._core.clock.monotonic_s()
        tenants = self._core.tenants.loaded()
        return now_s - min((t.protections.oldest_since_s(now_s) for t in tenants), default=now_s)
