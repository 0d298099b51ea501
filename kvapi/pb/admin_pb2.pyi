from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Empty(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Tenant(_message.Message):
    __slots__ = ("id", "name", "created_unix_ms", "suspended", "live_bytes", "history_bytes", "key_count", "gc_ttl_s", "users", "catalog_version", "weight")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    CREATED_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    SUSPENDED_FIELD_NUMBER: _ClassVar[int]
    LIVE_BYTES_FIELD_NUMBER: _ClassVar[int]
    HISTORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    KEY_COUNT_FIELD_NUMBER: _ClassVar[int]
    GC_TTL_S_FIELD_NUMBER: _ClassVar[int]
    USERS_FIELD_NUMBER: _ClassVar[int]
    CATALOG_VERSION_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    id: int
    name: str
    created_unix_ms: int
    suspended: bool
    live_bytes: int
    history_bytes: int
    key_count: int
    gc_ttl_s: float
    users: _containers.RepeatedScalarFieldContainer[str]
    catalog_version: int
    weight: float
    def __init__(self, id: _Optional[int] = ..., name: _Optional[str] = ..., created_unix_ms: _Optional[int] = ..., suspended: _Optional[bool] = ..., live_bytes: _Optional[int] = ..., history_bytes: _Optional[int] = ..., key_count: _Optional[int] = ..., gc_ttl_s: _Optional[float] = ..., users: _Optional[_Iterable[str]] = ..., catalog_version: _Optional[int] = ..., weight: _Optional[float] = ...) -> None: ...

class CreateTenantRequest(_message.Message):
    __slots__ = ("name", "user", "scram_verifier", "gc_ttl_s")
    NAME_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    SCRAM_VERIFIER_FIELD_NUMBER: _ClassVar[int]
    GC_TTL_S_FIELD_NUMBER: _ClassVar[int]
    name: str
    user: str
    scram_verifier: str
    gc_ttl_s: float
    def __init__(self, name: _Optional[str] = ..., user: _Optional[str] = ..., scram_verifier: _Optional[str] = ..., gc_ttl_s: _Optional[float] = ...) -> None: ...

class GetTenantRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ListTenantsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListTenantsResponse(_message.Message):
    __slots__ = ("tenants", "next_page_token")
    TENANTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    tenants: _containers.RepeatedCompositeFieldContainer[Tenant]
    next_page_token: str
    def __init__(self, tenants: _Optional[_Iterable[_Union[Tenant, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class SetTenantRequest(_message.Message):
    __slots__ = ("name", "suspended", "gc_ttl_s", "weight")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SUSPENDED_FIELD_NUMBER: _ClassVar[int]
    GC_TTL_S_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    name: str
    suspended: bool
    gc_ttl_s: float
    weight: float
    def __init__(self, name: _Optional[str] = ..., suspended: _Optional[bool] = ..., gc_ttl_s: _Optional[float] = ..., weight: _Optional[float] = ...) -> None: ...

class SetPasswordRequest(_message.Message):
    __slots__ = ("name", "user", "scram_verifier")
    NAME_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    SCRAM_VERIFIER_FIELD_NUMBER: _ClassVar[int]
    name: str
    user: str
    scram_verifier: str
    def __init__(self, name: _Optional[str] = ..., user: _Optional[str] = ..., scram_verifier: _Optional[str] = ...) -> None: ...

class DropTenantRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class DropTenantResponse(_message.Message):
    __slots__ = ("keys_removed",)
    KEYS_REMOVED_FIELD_NUMBER: _ClassVar[int]
    keys_removed: int
    def __init__(self, keys_removed: _Optional[int] = ...) -> None: ...

class GetLoginRequest(_message.Message):
    __slots__ = ("tenant", "user")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    user: str
    def __init__(self, tenant: _Optional[str] = ..., user: _Optional[str] = ...) -> None: ...

class Login(_message.Message):
    __slots__ = ("tenant_id", "tenant_name", "scram_verifier", "credential", "credential_life_s", "suspended", "weight")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_NAME_FIELD_NUMBER: _ClassVar[int]
    SCRAM_VERIFIER_FIELD_NUMBER: _ClassVar[int]
    CREDENTIAL_FIELD_NUMBER: _ClassVar[int]
    CREDENTIAL_LIFE_S_FIELD_NUMBER: _ClassVar[int]
    SUSPENDED_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    tenant_id: int
    tenant_name: str
    scram_verifier: str
    credential: bytes
    credential_life_s: float
    suspended: bool
    weight: float
    def __init__(self, tenant_id: _Optional[int] = ..., tenant_name: _Optional[str] = ..., scram_verifier: _Optional[str] = ..., credential: _Optional[bytes] = ..., credential_life_s: _Optional[float] = ..., suspended: _Optional[bool] = ..., weight: _Optional[float] = ...) -> None: ...

class TenantEvent(_message.Message):
    __slots__ = ("kind", "tenant")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        UNKNOWN: _ClassVar[TenantEvent.Kind]
        CREATED: _ClassVar[TenantEvent.Kind]
        CHANGED: _ClassVar[TenantEvent.Kind]
        DROPPED: _ClassVar[TenantEvent.Kind]
    UNKNOWN: TenantEvent.Kind
    CREATED: TenantEvent.Kind
    CHANGED: TenantEvent.Kind
    DROPPED: TenantEvent.Kind
    KIND_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    kind: TenantEvent.Kind
    tenant: Tenant
    def __init__(self, kind: _Optional[_Union[TenantEvent.Kind, str]] = ..., tenant: _Optional[_Union[Tenant, _Mapping]] = ...) -> None: ...

class GetLimitsRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class SetLimitsRequest(_message.Message):
    __slots__ = ("name", "rate_ru_per_s", "burst_ru_max", "month_ru_max")
    NAME_FIELD_NUMBER: _ClassVar[int]
    RATE_RU_PER_S_FIELD_NUMBER: _ClassVar[int]
    BURST_RU_MAX_FIELD_NUMBER: _ClassVar[int]
    MONTH_RU_MAX_FIELD_NUMBER: _ClassVar[int]
    name: str
    rate_ru_per_s: float
    burst_ru_max: float
    month_ru_max: float
    def __init__(self, name: _Optional[str] = ..., rate_ru_per_s: _Optional[float] = ..., burst_ru_max: _Optional[float] = ..., month_ru_max: _Optional[float] = ...) -> None: ...

class TenantLimits(_message.Message):
    __slots__ = ("name", "rate_ru_per_s", "burst_ru_max", "month_ru_max", "balance_ru", "debt_ru", "consumed_ru", "throttled_s", "month_used_ru", "month_reached", "client_count")
    NAME_FIELD_NUMBER: _ClassVar[int]
    RATE_RU_PER_S_FIELD_NUMBER: _ClassVar[int]
    BURST_RU_MAX_FIELD_NUMBER: _ClassVar[int]
    MONTH_RU_MAX_FIELD_NUMBER: _ClassVar[int]
    BALANCE_RU_FIELD_NUMBER: _ClassVar[int]
    DEBT_RU_FIELD_NUMBER: _ClassVar[int]
    CONSUMED_RU_FIELD_NUMBER: _ClassVar[int]
    THROTTLED_S_FIELD_NUMBER: _ClassVar[int]
    MONTH_USED_RU_FIELD_NUMBER: _ClassVar[int]
    MONTH_REACHED_FIELD_NUMBER: _ClassVar[int]
    CLIENT_COUNT_FIELD_NUMBER: _ClassVar[int]
    name: str
    rate_ru_per_s: float
    burst_ru_max: float
    month_ru_max: float
    balance_ru: float
    debt_ru: float
    consumed_ru: float
    throttled_s: float
    month_used_ru: float
    month_reached: int
    client_count: int
    def __init__(self, name: _Optional[str] = ..., rate_ru_per_s: _Optional[float] = ..., burst_ru_max: _Optional[float] = ..., month_ru_max: _Optional[float] = ..., balance_ru: _Optional[float] = ..., debt_ru: _Optional[float] = ..., consumed_ru: _Optional[float] = ..., throttled_s: _Optional[float] = ..., month_used_ru: _Optional[float] = ..., month_reached: _Optional[int] = ..., client_count: _Optional[int] = ...) -> None: ...

class GetUsageRequest(_message.Message):
    __slots__ = ("name", "day_count", "by_statement")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DAY_COUNT_FIELD_NUMBER: _ClassVar[int]
    BY_STATEMENT_FIELD_NUMBER: _ClassVar[int]
    name: str
    day_count: int
    by_statement: bool
    def __init__(self, name: _Optional[str] = ..., day_count: _Optional[int] = ..., by_statement: _Optional[bool] = ...) -> None: ...

class UsageRow(_message.Message):
    __slots__ = ("day", "query_id", "text", "calls", "row_count", "exec_us", "micro_ru", "free_micro_ru", "used")
    class UsedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    DAY_FIELD_NUMBER: _ClassVar[int]
    QUERY_ID_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    CALLS_FIELD_NUMBER: _ClassVar[int]
    ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    EXEC_US_FIELD_NUMBER: _ClassVar[int]
    MICRO_RU_FIELD_NUMBER: _ClassVar[int]
    FREE_MICRO_RU_FIELD_NUMBER: _ClassVar[int]
    USED_FIELD_NUMBER: _ClassVar[int]
    day: str
    query_id: int
    text: str
    calls: int
    row_count: int
    exec_us: int
    micro_ru: int
    free_micro_ru: int
    used: _containers.ScalarMap[str, float]
    def __init__(self, day: _Optional[str] = ..., query_id: _Optional[int] = ..., text: _Optional[str] = ..., calls: _Optional[int] = ..., row_count: _Optional[int] = ..., exec_us: _Optional[int] = ..., micro_ru: _Optional[int] = ..., free_micro_ru: _Optional[int] = ..., used: _Optional[_Mapping[str, float]] = ...) -> None: ...

class GetUsageResponse(_message.Message):
    __slots__ = ("rows",)
    ROWS_FIELD_NUMBER: _ClassVar[int]
    rows: _containers.RepeatedCompositeFieldContainer[UsageRow]
    def __init__(self, rows: _Optional[_Iterable[_Union[UsageRow, _Mapping]]] = ...) -> None: ...

class TopRow(_message.Message):
    __slots__ = ("tenant", "weight", "cpu_per_s", "kv_reads_per_s", "kv_writes_per_s", "queued", "wait_counts", "statements_per_s", "statement_p50_s", "statement_p99_s", "ru_per_s", "stream_count", "throttled_s", "sql_cpu_per_s", "writes_queued", "lock_waits", "waited_s")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    CPU_PER_S_FIELD_NUMBER: _ClassVar[int]
    KV_READS_PER_S_FIELD_NUMBER: _ClassVar[int]
    KV_WRITES_PER_S_FIELD_NUMBER: _ClassVar[int]
    QUEUED_FIELD_NUMBER: _ClassVar[int]
    WAIT_COUNTS_FIELD_NUMBER: _ClassVar[int]
    STATEMENTS_PER_S_FIELD_NUMBER: _ClassVar[int]
    STATEMENT_P50_S_FIELD_NUMBER: _ClassVar[int]
    STATEMENT_P99_S_FIELD_NUMBER: _ClassVar[int]
    RU_PER_S_FIELD_NUMBER: _ClassVar[int]
    STREAM_COUNT_FIELD_NUMBER: _ClassVar[int]
    THROTTLED_S_FIELD_NUMBER: _ClassVar[int]
    SQL_CPU_PER_S_FIELD_NUMBER: _ClassVar[int]
    WRITES_QUEUED_FIELD_NUMBER: _ClassVar[int]
    LOCK_WAITS_FIELD_NUMBER: _ClassVar[int]
    WAITED_S_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    weight: float
    cpu_per_s: float
    kv_reads_per_s: float
    kv_writes_per_s: float
    queued: int
    wait_counts: _containers.RepeatedScalarFieldContainer[int]
    statements_per_s: float
    statement_p50_s: float
    statement_p99_s: float
    ru_per_s: float
    stream_count: int
    throttled_s: float
    sql_cpu_per_s: float
    writes_queued: int
    lock_waits: int
    waited_s: float
    def __init__(self, tenant: _Optional[str] = ..., weight: _Optional[float] = ..., cpu_per_s: _Optional[float] = ..., kv_reads_per_s: _Optional[float] = ..., kv_writes_per_s: _Optional[float] = ..., queued: _Optional[int] = ..., wait_counts: _Optional[_Iterable[int]] = ..., statements_per_s: _Optional[float] = ..., statement_p50_s: _Optional[float] = ..., statement_p99_s: _Optional[float] = ..., ru_per_s: _Optional[float] = ..., stream_count: _Optional[int] = ..., throttled_s: _Optional[float] = ..., sql_cpu_per_s: _Optional[float] = ..., writes_queued: _Optional[int] = ..., lock_waits: _Optional[int] = ..., waited_s: _Optional[float] = ...) -> None: ...

class GetTopResponse(_message.Message):
    __slots__ = ("rows", "cores", "window_s")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    CORES_FIELD_NUMBER: _ClassVar[int]
    WINDOW_S_FIELD_NUMBER: _ClassVar[int]
    rows: _containers.RepeatedCompositeFieldContainer[TopRow]
    cores: float
    window_s: float
    def __init__(self, rows: _Optional[_Iterable[_Union[TopRow, _Mapping]]] = ..., cores: _Optional[float] = ..., window_s: _Optional[float] = ...) -> None: ...

class ListRangesRequest(_message.Message):
    __slots__ = ("tenant", "page_token")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    page_token: str
    def __init__(self, tenant: _Optional[str] = ..., page_token: _Optional[str] = ...) -> None: ...

class Range(_message.Message):
    __slots__ = ("tenant", "range_id", "start", "end", "is_measured", "size_bytes", "key_count", "reads_per_s", "writes_per_s", "generation", "leaseholder")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    RANGE_ID_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    IS_MEASURED_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    KEY_COUNT_FIELD_NUMBER: _ClassVar[int]
    READS_PER_S_FIELD_NUMBER: _ClassVar[int]
    WRITES_PER_S_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    LEASEHOLDER_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    range_id: int
    start: bytes
    end: bytes
    is_measured: bool
    size_bytes: int
    key_count: int
    reads_per_s: float
    writes_per_s: float
    generation: int
    leaseholder: str
    def __init__(self, tenant: _Optional[str] = ..., range_id: _Optional[int] = ..., start: _Optional[bytes] = ..., end: _Optional[bytes] = ..., is_measured: _Optional[bool] = ..., size_bytes: _Optional[int] = ..., key_count: _Optional[int] = ..., reads_per_s: _Optional[float] = ..., writes_per_s: _Optional[float] = ..., generation: _Optional[int] = ..., leaseholder: _Optional[str] = ...) -> None: ...

class ListRangesResponse(_message.Message):
    __slots__ = ("ranges", "next_page_token")
    RANGES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    ranges: _containers.RepeatedCompositeFieldContainer[Range]
    next_page_token: str
    def __init__(self, ranges: _Optional[_Iterable[_Union[Range, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class SplitRangeRequest(_message.Message):
    __slots__ = ("tenant", "key")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    key: bytes
    def __init__(self, tenant: _Optional[str] = ..., key: _Optional[bytes] = ...) -> None: ...

class MergeRangeRequest(_message.Message):
    __slots__ = ("tenant", "range_id")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    RANGE_ID_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    range_id: int
    def __init__(self, tenant: _Optional[str] = ..., range_id: _Optional[int] = ...) -> None: ...
