"""Ranges as operators see them, a page at a time: one tenant's, or those of a page of tenants."""

from collections.abc import Sequence
from typing import Final

from kvapi.errors import TenantUnknown
from kvapi.pb import admin_pb2
from kvnode.core import Core
from kvnode.ranges.keeper import RangeKeeper
from kvnode.ranges.range_map import RangeState
from kvnode.tenants.records import read_sizes
from kvnode.tenants.tenant import Tenant

_TENANTS_PER_PAGE: Final = 200
_RANGES_PER_PAGE: Final = 1000
_MEASURE_S_MAX: Final = 2.0  # then what is not measured yet is shown as unknown


async def list_ranges(
    core: Core, keeper: RangeKeeper, named: Sequence[Tenant], position: int
) -> admin_pb2.ListRangesResponse:
    """Return a page: of one tenant's ranges from `position` on, or of tenants after that id."""
    if named:
        (tenant,) = named
        await keeper.measure(tenant, wait_s_max=_MEASURE_S_MAX)
        end = position + _RANGES_PER_PAGE
        ranges = _describe(core, tenant)
        token = str(end) if end < len(ranges) else ""
        return admin_pb2.ListRangesResponse(ranges=ranges[position:end], next_page_token=token)
    records = list(core.tenants.records(after_id=position, count_max=_TENANTS_PER_PAGE))
    found: list[admin_pb2.Range] = []
    for record in records:
        if not record.is_dropping:
            found += await _ranges_of(core, keeper, record.id)
    token = str(records[-1].id) if len(records) == _TENANTS_PER_PAGE else ""
    return admin_pb2.ListRangesResponse(ranges=found, next_page_token=token)


async def _ranges_of(core: Core, keeper: RangeKeeper, tenant_id: int) -> list[admin_pb2.Range]:
    try:
        tenant = core.tenants.load(tenant_id)
    except TenantUnknown:
        return []  # dropped while the page was made
    await keeper.measure(tenant, wait_s_max=_MEASURE_S_MAX)
    return _describe(core, tenant)


def _describe(core: Core, tenant: Tenant) -> list[admin_pb2.Range]:
    states = tenant.ranges.states
    shown = [_range(tenant, state) for state in states]
    if len(states) == 1:  # what the tenant stores is in it
        sizes = read_sizes(core.timeline.snapshot(), tenant.prefix)
        shown[0].is_measured = True
        shown[0].size_bytes = max(0, sizes.live_bytes)
        shown[0].key_count = max(0, sizes.key_count)
    return shown


def _range(tenant: Tenant, state: RangeState) -> admin_pb2.Range:
    descriptor, size = state.descriptor, state.size
    return admin_pb2.Range(
        tenant=tenant.record.name,
        range_id=descriptor.range_id,
        start=descriptor.start,
        end=descriptor.end,
        is_measured=size is not None,
        size_bytes=size.estimate if size is not None else 0,
        key_count=size.key_count if size is not None else 0,
        reads_per_s=state.read_rate,
        writes_per_s=state.write_rate,
        generation=descriptor.generation,
        leaseholder=descriptor.leaseholder,
    )
