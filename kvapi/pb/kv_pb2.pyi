from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LockMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EXCLUSIVE: _ClassVar[LockMode]
    SHARED: _ClassVar[LockMode]
    NO_KEY_EXCLUSIVE: _ClassVar[LockMode]
    KEY_SHARED: _ClassVar[LockMode]

class LockWait(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BLOCK: _ClassVar[LockWait]
    NOWAIT: _ClassVar[LockWait]
    SKIP_LOCKED: _ClassVar[LockWait]

class LockSpace(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ROWS: _ClassVar[LockSpace]
    ADVISORY: _ClassVar[LockSpace]

class ErrorCode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    INTERNAL: _ClassVar[ErrorCode]
    WRITE_CONFLICT: _ClassVar[ErrorCode]
    SCHEMA_CHANGED: _ClassVar[ErrorCode]
    LOCK_TIMEOUT: _ClassVar[ErrorCode]
    LOCK_NOT_AVAILABLE: _ClassVar[ErrorCode]
    DEADLOCK: _ClassVar[ErrorCode]
    KEY_EXISTS: _ClassVar[ErrorCode]
    KEY_TOO_LONG: _ClassVar[ErrorCode]
    REQUEST_TOO_LARGE: _ClassVar[ErrorCode]
    TENANT_SUSPENDED: _ClassVar[ErrorCode]
    TENANT_UNKNOWN: _ClassVar[ErrorCode]
    CREDENTIAL_REFUSED: _ClassVar[ErrorCode]
    THROTTLED: _ClassVar[ErrorCode]
    NOT_LEASEHOLDER: _ClassVar[ErrorCode]
    SNAPSHOT_TOO_OLD: _ClassVar[ErrorCode]
    DISK_FULL: _ClassVar[ErrorCode]
    CANCELLED: _ClassVar[ErrorCode]
    BAD_REQUEST: _ClassVar[ErrorCode]
    COUNTER_EXHAUSTED: _ClassVar[ErrorCode]
    SHUTTING_DOWN: _ClassVar[ErrorCode]
EXCLUSIVE: LockMode
SHARED: LockMode
NO_KEY_EXCLUSIVE: LockMode
KEY_SHARED: LockMode
BLOCK: LockWait
NOWAIT: LockWait
SKIP_LOCKED: LockWait
ROWS: LockSpace
ADVISORY: LockSpace
INTERNAL: ErrorCode
WRITE_CONFLICT: ErrorCode
SCHEMA_CHANGED: ErrorCode
LOCK_TIMEOUT: ErrorCode
LOCK_NOT_AVAILABLE: ErrorCode
DEADLOCK: ErrorCode
KEY_EXISTS: ErrorCode
KEY_TOO_LONG: ErrorCode
REQUEST_TOO_LARGE: ErrorCode
TENANT_SUSPENDED: ErrorCode
TENANT_UNKNOWN: ErrorCode
CREDENTIAL_REFUSED: ErrorCode
THROTTLED: ErrorCode
NOT_LEASEHOLDER: ErrorCode
SNAPSHOT_TOO_OLD: ErrorCode
DISK_FULL: ErrorCode
CANCELLED: ErrorCode
BAD_REQUEST: ErrorCode
COUNTER_EXHAUSTED: ErrorCode
SHUTTING_DOWN: ErrorCode

class ClientFrame(_message.Message):
    __slots__ = ("hello", "requests")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    requests: _containers.RepeatedCompositeFieldContainer[Request]
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., requests: _Optional[_Iterable[_Union[Request, _Mapping]]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("protocol_version", "credential", "client_name")
    PROTOCOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    CREDENTIAL_FIELD_NUMBER: _ClassVar[int]
    CLIENT_NAME_FIELD_NUMBER: _ClassVar[int]
    protocol_version: int
    credential: bytes
    client_name: str
    def __init__(self, protocol_version: _Optional[int] = ..., credential: _Optional[bytes] = ..., client_name: _Optional[str] = ...) -> None: ...

class Request(_message.Message):
    __slots__ = ("id", "read_ts", "catalog_version", "txn_id", "priority", "layer_max", "relations", "get", "multi_get", "scan", "lock", "refresh", "stage", "commit", "rollback", "increment", "txn_status", "cancel", "unlock", "unstage", "heartbeat", "catalog_use", "protect", "ranges", "tokens", "report_usage")
    ID_FIELD_NUMBER: _ClassVar[int]
    READ_TS_FIELD_NUMBER: _ClassVar[int]
    CATALOG_VERSION_FIELD_NUMBER: _ClassVar[int]
    TXN_ID_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    LAYER_MAX_FIELD_NUMBER: _ClassVar[int]
    RELATIONS_FIELD_NUMBER: _ClassVar[int]
    GET_FIELD_NUMBER: _ClassVar[int]
    MULTI_GET_FIELD_NUMBER: _ClassVar[int]
    SCAN_FIELD_NUMBER: _ClassVar[int]
    LOCK_FIELD_NUMBER: _ClassVar[int]
    REFRESH_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    ROLLBACK_FIELD_NUMBER: _ClassVar[int]
    INCREMENT_FIELD_NUMBER: _ClassVar[int]
    TXN_STATUS_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    UNLOCK_FIELD_NUMBER: _ClassVar[int]
    UNSTAGE_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    CATALOG_USE_FIELD_NUMBER: _ClassVar[int]
    PROTECT_FIELD_NUMBER: _ClassVar[int]
    RANGES_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    REPORT_USAGE_FIELD_NUMBER: _ClassVar[int]
    id: int
    read_ts: int
    catalog_version: int
    txn_id: bytes
    priority: int
    layer_max: int
    relations: _containers.RepeatedScalarFieldContainer[int]
    get: Get
    multi_get: MultiGet
    scan: Scan
    lock: Lock
    refresh: Refresh
    stage: Stage
    commit: Commit
    rollback: Rollback
    increment: Increment
    txn_status: TxnStatus
    cancel: Cancel
    unlock: Unlock
    unstage: Unstage
    heartbeat: Heartbeat
    catalog_use: CatalogUse
    protect: Protect
    ranges: Ranges
    tokens: Tokens
    report_usage: ReportUsage
    def __init__(self, id: _Optional[int] = ..., read_ts: _Optional[int] = ..., catalog_version: _Optional[int] = ..., txn_id: _Optional[bytes] = ..., priority: _Optional[int] = ..., layer_max: _Optional[int] = ..., relations: _Optional[_Iterable[int]] = ..., get: _Optional[_Union[Get, _Mapping]] = ..., multi_get: _Optional[_Union[MultiGet, _Mapping]] = ..., scan: _Optional[_Union[Scan, _Mapping]] = ..., lock: _Optional[_Union[Lock, _Mapping]] = ..., refresh: _Optional[_Union[Refresh, _Mapping]] = ..., stage: _Optional[_Union[Stage, _Mapping]] = ..., commit: _Optional[_Union[Commit, _Mapping]] = ..., rollback: _Optional[_Union[Rollback, _Mapping]] = ..., increment: _Optional[_Union[Increment, _Mapping]] = ..., txn_status: _Optional[_Union[TxnStatus, _Mapping]] = ..., cancel: _Optional[_Union[Cancel, _Mapping]] = ..., unlock: _Optional[_Union[Unlock, _Mapping]] = ..., unstage: _Optional[_Union[Unstage, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ..., catalog_use: _Optional[_Union[CatalogUse, _Mapping]] = ..., protect: _Optional[_Union[Protect, _Mapping]] = ..., ranges: _Optional[_Union[Ranges, _Mapping]] = ..., tokens: _Optional[_Union[Tokens, _Mapping]] = ..., report_usage: _Optional[_Union[ReportUsage, _Mapping]] = ...) -> None: ...

class Get(_message.Message):
    __slots__ = ("key",)
    KEY_FIELD_NUMBER: _ClassVar[int]
    key: bytes
    def __init__(self, key: _Optional[bytes] = ...) -> None: ...

class MultiGet(_message.Message):
    __slots__ = ("keys",)
    KEYS_FIELD_NUMBER: _ClassVar[int]
    keys: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, keys: _Optional[_Iterable[bytes]] = ...) -> None: ...

class Scan(_message.Message):
    __slots__ = ("start", "end", "reverse", "limit_rows", "limit_bytes", "keys_only", "count_only")
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    REVERSE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_ROWS_FIELD_NUMBER: _ClassVar[int]
    LIMIT_BYTES_FIELD_NUMBER: _ClassVar[int]
    KEYS_ONLY_FIELD_NUMBER: _ClassVar[int]
    COUNT_ONLY_FIELD_NUMBER: _ClassVar[int]
    start: bytes
    end: bytes
    reverse: bool
    limit_rows: int
    limit_bytes: int
    keys_only: bool
    count_only: bool
    def __init__(self, start: _Optional[bytes] = ..., end: _Optional[bytes] = ..., reverse: _Optional[bool] = ..., limit_rows: _Optional[int] = ..., limit_bytes: _Optional[int] = ..., keys_only: _Optional[bool] = ..., count_only: _Optional[bool] = ...) -> None: ...

class Lock(_message.Message):
    __slots__ = ("keys", "mode", "wait", "timeout_ms", "statement", "session", "space")
    KEYS_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    STATEMENT_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    SPACE_FIELD_NUMBER: _ClassVar[int]
    keys: _containers.RepeatedScalarFieldContainer[bytes]
    mode: LockMode
    wait: LockWait
    timeout_ms: int
    statement: str
    session: bytes
    space: LockSpace
    def __init__(self, keys: _Optional[_Iterable[bytes]] = ..., mode: _Optional[_Union[LockMode, str]] = ..., wait: _Optional[_Union[LockWait, str]] = ..., timeout_ms: _Optional[int] = ..., statement: _Optional[str] = ..., session: _Optional[bytes] = ..., space: _Optional[_Union[LockSpace, str]] = ...) -> None: ...

class Unlock(_message.Message):
    __slots__ = ("keys", "mode", "space")
    KEYS_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    SPACE_FIELD_NUMBER: _ClassVar[int]
    keys: _containers.RepeatedScalarFieldContainer[bytes]
    mode: LockMode
    space: LockSpace
    def __init__(self, keys: _Optional[_Iterable[bytes]] = ..., mode: _Optional[_Union[LockMode, str]] = ..., space: _Optional[_Union[LockSpace, str]] = ...) -> None: ...

class Span(_message.Message):
    __slots__ = ("start", "end")
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    start: bytes
    end: bytes
    def __init__(self, start: _Optional[bytes] = ..., end: _Optional[bytes] = ...) -> None: ...

class Footprint(_message.Message):
    __slots__ = ("keys", "spans")
    KEYS_FIELD_NUMBER: _ClassVar[int]
    SPANS_FIELD_NUMBER: _ClassVar[int]
    keys: _containers.RepeatedScalarFieldContainer[bytes]
    spans: _containers.RepeatedCompositeFieldContainer[Span]
    def __init__(self, keys: _Optional[_Iterable[bytes]] = ..., spans: _Optional[_Iterable[_Union[Span, _Mapping]]] = ...) -> None: ...

class Refresh(_message.Message):
    __slots__ = ("footprint",)
    FOOTPRINT_FIELD_NUMBER: _ClassVar[int]
    footprint: Footprint
    def __init__(self, footprint: _Optional[_Union[Footprint, _Mapping]] = ...) -> None: ...

class Writes(_message.Message):
    __slots__ = ("put_keys", "put_values", "delete_keys")
    PUT_KEYS_FIELD_NUMBER: _ClassVar[int]
    PUT_VALUES_FIELD_NUMBER: _ClassVar[int]
    DELETE_KEYS_FIELD_NUMBER: _ClassVar[int]
    put_keys: _containers.RepeatedScalarFieldContainer[bytes]
    put_values: _containers.RepeatedScalarFieldContainer[bytes]
    delete_keys: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, put_keys: _Optional[_Iterable[bytes]] = ..., put_values: _Optional[_Iterable[bytes]] = ..., delete_keys: _Optional[_Iterable[bytes]] = ...) -> None: ...

class Stage(_message.Message):
    __slots__ = ("writes", "absent_keys", "layer", "statement")
    WRITES_FIELD_NUMBER: _ClassVar[int]
    ABSENT_KEYS_FIELD_NUMBER: _ClassVar[int]
    LAYER_FIELD_NUMBER: _ClassVar[int]
    STATEMENT_FIELD_NUMBER: _ClassVar[int]
    writes: Writes
    absent_keys: _containers.RepeatedScalarFieldContainer[bytes]
    layer: int
    statement: str
    def __init__(self, writes: _Optional[_Union[Writes, _Mapping]] = ..., absent_keys: _Optional[_Iterable[bytes]] = ..., layer: _Optional[int] = ..., statement: _Optional[str] = ...) -> None: ...

class Unstage(_message.Message):
    __slots__ = ("layer",)
    LAYER_FIELD_NUMBER: _ClassVar[int]
    layer: int
    def __init__(self, layer: _Optional[int] = ...) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Commit(_message.Message):
    __slots__ = ("footprint", "writes", "absent_keys", "schema_change", "keeps_previous", "changed")
    FOOTPRINT_FIELD_NUMBER: _ClassVar[int]
    WRITES_FIELD_NUMBER: _ClassVar[int]
    ABSENT_KEYS_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_CHANGE_FIELD_NUMBER: _ClassVar[int]
    KEEPS_PREVIOUS_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    footprint: Footprint
    writes: Writes
    absent_keys: _containers.RepeatedScalarFieldContainer[bytes]
    schema_change: bool
    keeps_previous: bool
    changed: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, footprint: _Optional[_Union[Footprint, _Mapping]] = ..., writes: _Optional[_Union[Writes, _Mapping]] = ..., absent_keys: _Optional[_Iterable[bytes]] = ..., schema_change: _Optional[bool] = ..., keeps_previous: _Optional[bool] = ..., changed: _Optional[_Iterable[int]] = ...) -> None: ...

class Rollback(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class CatalogUse(_message.Message):
    __slots__ = ("oldest_version",)
    OLDEST_VERSION_FIELD_NUMBER: _ClassVar[int]
    oldest_version: int
    def __init__(self, oldest_version: _Optional[int] = ...) -> None: ...

class Protect(_message.Message):
    __slots__ = ("read_ts",)
    READ_TS_FIELD_NUMBER: _ClassVar[int]
    read_ts: int
    def __init__(self, read_ts: _Optional[int] = ...) -> None: ...

class Ranges(_message.Message):
    __slots__ = ("start", "limit")
    START_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    start: bytes
    limit: int
    def __init__(self, start: _Optional[bytes] = ..., limit: _Optional[int] = ...) -> None: ...

class Tokens(_message.Message):
    __slots__ = ("client_id", "sequence", "wanted_ru", "consumed_ru", "borrowed_ru", "demand_ru_per_s", "waiting", "throttled_s", "period_s", "returned_ru")
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    WANTED_RU_FIELD_NUMBER: _ClassVar[int]
    CONSUMED_RU_FIELD_NUMBER: _ClassVar[int]
    BORROWED_RU_FIELD_NUMBER: _ClassVar[int]
    DEMAND_RU_PER_S_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    THROTTLED_S_FIELD_NUMBER: _ClassVar[int]
    PERIOD_S_FIELD_NUMBER: _ClassVar[int]
    RETURNED_RU_FIELD_NUMBER: _ClassVar[int]
    client_id: int
    sequence: int
    wanted_ru: float
    consumed_ru: float
    borrowed_ru: float
    demand_ru_per_s: float
    waiting: float
    throttled_s: float
    period_s: float
    returned_ru: float
    def __init__(self, client_id: _Optional[int] = ..., sequence: _Optional[int] = ..., wanted_ru: _Optional[float] = ..., consumed_ru: _Optional[float] = ..., borrowed_ru: _Optional[float] = ..., demand_ru_per_s: _Optional[float] = ..., waiting: _Optional[float] = ..., throttled_s: _Optional[float] = ..., period_s: _Optional[float] = ..., returned_ru: _Optional[float] = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ("rate_ru_per_s", "burst_ru_max", "month_ru_max", "is_used_up")
    RATE_RU_PER_S_FIELD_NUMBER: _ClassVar[int]
    BURST_RU_MAX_FIELD_NUMBER: _ClassVar[int]
    MONTH_RU_MAX_FIELD_NUMBER: _ClassVar[int]
    IS_USED_UP_FIELD_NUMBER: _ClassVar[int]
    rate_ru_per_s: float
    burst_ru_max: float
    month_ru_max: float
    is_used_up: bool
    def __init__(self, rate_ru_per_s: _Optional[float] = ..., burst_ru_max: _Optional[float] = ..., month_ru_max: _Optional[float] = ..., is_used_up: _Optional[bool] = ...) -> None: ...

class ReportUsage(_message.Message):
    __slots__ = ("reporter", "sequence", "statements", "used", "free_micro_ru", "latency_counts", "token_client_id")
    REPORTER_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    STATEMENTS_FIELD_NUMBER: _ClassVar[int]
    USED_FIELD_NUMBER: _ClassVar[int]
    FREE_MICRO_RU_FIELD_NUMBER: _ClassVar[int]
    LATENCY_COUNTS_FIELD_NUMBER: _ClassVar[int]
    TOKEN_CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    reporter: bytes
    sequence: int
    statements: _containers.RepeatedCompositeFieldContainer[StatementUsage]
    used: Used
    free_micro_ru: int
    latency_counts: _containers.RepeatedScalarFieldContainer[int]
    token_client_id: int
    def __init__(self, reporter: _Optional[bytes] = ..., sequence: _Optional[int] = ..., statements: _Optional[_Iterable[_Union[StatementUsage, _Mapping]]] = ..., used: _Optional[_Union[Used, _Mapping]] = ..., free_micro_ru: _Optional[int] = ..., latency_counts: _Optional[_Iterable[int]] = ..., token_client_id: _Optional[int] = ...) -> None: ...

class StatementUsage(_message.Message):
    __slots__ = ("query_id", "text", "calls", "row_count", "exec_us", "micro_ru")
    QUERY_ID_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    CALLS_FIELD_NUMBER: _ClassVar[int]
    ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    EXEC_US_FIELD_NUMBER: _ClassVar[int]
    MICRO_RU_FIELD_NUMBER: _ClassVar[int]
    query_id: int
    text: str
    calls: int
    row_count: int
    exec_us: int
    micro_ru: int
    def __init__(self, query_id: _Optional[int] = ..., text: _Optional[str] = ..., calls: _Optional[int] = ..., row_count: _Optional[int] = ..., exec_us: _Optional[int] = ..., micro_ru: _Optional[int] = ...) -> None: ...

class Used(_message.Message):
    __slots__ = ("read_batches", "read_requests", "read_bytes", "write_batches", "write_requests", "write_bytes", "kv_cpu_s", "sql_cpu_s", "egress_bytes")
    READ_BATCHES_FIELD_NUMBER: _ClassVar[int]
    READ_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    READ_BYTES_FIELD_NUMBER: _ClassVar[int]
    WRITE_BATCHES_FIELD_NUMBER: _ClassVar[int]
    WRITE_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    WRITE_BYTES_FIELD_NUMBER: _ClassVar[int]
    KV_CPU_S_FIELD_NUMBER: _ClassVar[int]
    SQL_CPU_S_FIELD_NUMBER: _ClassVar[int]
    EGRESS_BYTES_FIELD_NUMBER: _ClassVar[int]
    read_batches: float
    read_requests: float
    read_bytes: float
    write_batches: float
    write_requests: float
    write_bytes: float
    kv_cpu_s: float
    sql_cpu_s: float
    egress_bytes: float
    def __init__(self, read_batches: _Optional[float] = ..., read_requests: _Optional[float] = ..., read_bytes: _Optional[float] = ..., write_batches: _Optional[float] = ..., write_requests: _Optional[float] = ..., write_bytes: _Optional[float] = ..., kv_cpu_s: _Optional[float] = ..., sql_cpu_s: _Optional[float] = ..., egress_bytes: _Optional[float] = ...) -> None: ...

class Increment(_message.Message):
    __slots__ = ("key", "by", "has_bounds", "min", "max", "cycle", "start", "set", "is_called", "count", "peek")
    KEY_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    HAS_BOUNDS_FIELD_NUMBER: _ClassVar[int]
    MIN_FIELD_NUMBER: _ClassVar[int]
    MAX_FIELD_NUMBER: _ClassVar[int]
    CYCLE_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    SET_FIELD_NUMBER: _ClassVar[int]
    IS_CALLED_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    PEEK_FIELD_NUMBER: _ClassVar[int]
    key: bytes
    by: int
    has_bounds: bool
    min: int
    max: int
    cycle: bool
    start: int
    set: bool
    is_called: bool
    count: int
    peek: bool
    def __init__(self, key: _Optional[bytes] = ..., by: _Optional[int] = ..., has_bounds: _Optional[bool] = ..., min: _Optional[int] = ..., max: _Optional[int] = ..., cycle: _Optional[bool] = ..., start: _Optional[int] = ..., set: _Optional[bool] = ..., is_called: _Optional[bool] = ..., count: _Optional[int] = ..., peek: _Optional[bool] = ...) -> None: ...

class TxnStatus(_message.Message):
    __slots__ = ("txn_id",)
    TXN_ID_FIELD_NUMBER: _ClassVar[int]
    txn_id: bytes
    def __init__(self, txn_id: _Optional[bytes] = ...) -> None: ...

class Cancel(_message.Message):
    __slots__ = ("request_id",)
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    request_id: int
    def __init__(self, request_id: _Optional[int] = ...) -> None: ...

class ServerFrame(_message.Message):
    __slots__ = ("hello", "responses", "catalog_version", "credit_requests", "fatal", "oldest_catalog_version", "limits")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    RESPONSES_FIELD_NUMBER: _ClassVar[int]
    CATALOG_VERSION_FIELD_NUMBER: _ClassVar[int]
    CREDIT_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    FATAL_FIELD_NUMBER: _ClassVar[int]
    OLDEST_CATALOG_VERSION_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    hello: HelloReply
    responses: _containers.RepeatedCompositeFieldContainer[Response]
    catalog_version: int
    credit_requests: int
    fatal: Error
    oldest_catalog_version: int
    limits: Limits
    def __init__(self, hello: _Optional[_Union[HelloReply, _Mapping]] = ..., responses: _Optional[_Iterable[_Union[Response, _Mapping]]] = ..., catalog_version: _Optional[int] = ..., credit_requests: _Optional[int] = ..., fatal: _Optional[_Union[Error, _Mapping]] = ..., oldest_catalog_version: _Optional[int] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ...) -> None: ...

class HelloReply(_message.Message):
    __slots__ = ("catalog_version", "newest_ts", "credit_requests", "frame_bytes_max", "server_epoch")
    CATALOG_VERSION_FIELD_NUMBER: _ClassVar[int]
    NEWEST_TS_FIELD_NUMBER: _ClassVar[int]
    CREDIT_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    FRAME_BYTES_MAX_FIELD_NUMBER: _ClassVar[int]
    SERVER_EPOCH_FIELD_NUMBER: _ClassVar[int]
    catalog_version: int
    newest_ts: int
    credit_requests: int
    frame_bytes_max: int
    server_epoch: int
    def __init__(self, catalog_version: _Optional[int] = ..., newest_ts: _Optional[int] = ..., credit_requests: _Optional[int] = ..., frame_bytes_max: _Optional[int] = ..., server_epoch: _Optional[int] = ...) -> None: ...

class Response(_message.Message):
    __slots__ = ("id", "read_ts", "error", "cpu_us", "cost_bytes", "value", "values", "block", "commit", "counter", "txn_status", "done", "ranges", "catalog_use", "tokens")
    ID_FIELD_NUMBER: _ClassVar[int]
    READ_TS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    CPU_US_FIELD_NUMBER: _ClassVar[int]
    COST_BYTES_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    BLOCK_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    COUNTER_FIELD_NUMBER: _ClassVar[int]
    TXN_STATUS_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    RANGES_FIELD_NUMBER: _ClassVar[int]
    CATALOG_USE_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    id: int
    read_ts: int
    error: Error
    cpu_us: int
    cost_bytes: int
    value: Value
    values: Values
    block: Block
    commit: CommitResult
    counter: CounterResult
    txn_status: TxnStatusResult
    done: Empty
    ranges: RangesResult
    catalog_use: CatalogUseResult
    tokens: TokensResult
    def __init__(self, id: _Optional[int] = ..., read_ts: _Optional[int] = ..., error: _Optional[_Union[Error, _Mapping]] = ..., cpu_us: _Optional[int] = ..., cost_bytes: _Optional[int] = ..., value: _Optional[_Union[Value, _Mapping]] = ..., values: _Optional[_Union[Values, _Mapping]] = ..., block: _Optional[_Union[Block, _Mapping]] = ..., commit: _Optional[_Union[CommitResult, _Mapping]] = ..., counter: _Optional[_Union[CounterResult, _Mapping]] = ..., txn_status: _Optional[_Union[TxnStatusResult, _Mapping]] = ..., done: _Optional[_Union[Empty, _Mapping]] = ..., ranges: _Optional[_Union[RangesResult, _Mapping]] = ..., catalog_use: _Optional[_Union[CatalogUseResult, _Mapping]] = ..., tokens: _Optional[_Union[TokensResult, _Mapping]] = ...) -> None: ...

class Empty(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Value(_message.Message):
    __slots__ = ("value", "commit_ts")
    VALUE_FIELD_NUMBER: _ClassVar[int]
    COMMIT_TS_FIELD_NUMBER: _ClassVar[int]
    value: bytes
    commit_ts: int
    def __init__(self, value: _Optional[bytes] = ..., commit_ts: _Optional[int] = ...) -> None: ...

class Values(_message.Message):
    __slots__ = ("values", "found", "commit_ts")
    VALUES_FIELD_NUMBER: _ClassVar[int]
    FOUND_FIELD_NUMBER: _ClassVar[int]
    COMMIT_TS_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedScalarFieldContainer[bytes]
    found: bytes
    commit_ts: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, values: _Optional[_Iterable[bytes]] = ..., found: _Optional[bytes] = ..., commit_ts: _Optional[_Iterable[int]] = ...) -> None: ...

class Block(_message.Message):
    __slots__ = ("row_count", "keys", "key_ends", "values", "value_ends", "more", "resume_key")
    ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    KEY_ENDS_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    VALUE_ENDS_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    RESUME_KEY_FIELD_NUMBER: _ClassVar[int]
    row_count: int
    keys: bytes
    key_ends: bytes
    values: bytes
    value_ends: bytes
    more: bool
    resume_key: bytes
    def __init__(self, row_count: _Optional[int] = ..., keys: _Optional[bytes] = ..., key_ends: _Optional[bytes] = ..., values: _Optional[bytes] = ..., value_ends: _Optional[bytes] = ..., more: _Optional[bool] = ..., resume_key: _Optional[bytes] = ...) -> None: ...

class CommitResult(_message.Message):
    __slots__ = ("commit_ts",)
    COMMIT_TS_FIELD_NUMBER: _ClassVar[int]
    commit_ts: int
    def __init__(self, commit_ts: _Optional[int] = ...) -> None: ...

class CounterResult(_message.Message):
    __slots__ = ("value", "is_called")
    VALUE_FIELD_NUMBER: _ClassVar[int]
    IS_CALLED_FIELD_NUMBER: _ClassVar[int]
    value: int
    is_called: bool
    def __init__(self, value: _Optional[int] = ..., is_called: _Optional[bool] = ...) -> None: ...

class TxnStatusResult(_message.Message):
    __slots__ = ("state", "commit_ts")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        UNKNOWN: _ClassVar[TxnStatusResult.State]
        COMMITTED: _ClassVar[TxnStatusResult.State]
        IN_FLIGHT: _ClassVar[TxnStatusResult.State]
    UNKNOWN: TxnStatusResult.State
    COMMITTED: TxnStatusResult.State
    IN_FLIGHT: TxnStatusResult.State
    STATE_FIELD_NUMBER: _ClassVar[int]
    COMMIT_TS_FIELD_NUMBER: _ClassVar[int]
    state: TxnStatusResult.State
    commit_ts: int
    def __init__(self, state: _Optional[_Union[TxnStatusResult.State, str]] = ..., commit_ts: _Optional[int] = ...) -> None: ...

class CatalogUseResult(_message.Message):
    __slots__ = ("oldest_version",)
    OLDEST_VERSION_FIELD_NUMBER: _ClassVar[int]
    oldest_version: int
    def __init__(self, oldest_version: _Optional[int] = ...) -> None: ...

class TokensResult(_message.Message):
    __slots__ = ("sequence", "at_once_ru", "trickle_ru", "trickle_s", "fallback_ru_per_s")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    AT_ONCE_RU_FIELD_NUMBER: _ClassVar[int]
    TRICKLE_RU_FIELD_NUMBER: _ClassVar[int]
    TRICKLE_S_FIELD_NUMBER: _ClassVar[int]
    FALLBACK_RU_PER_S_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    at_once_ru: float
    trickle_ru: float
    trickle_s: float
    fallback_ru_per_s: float
    def __init__(self, sequence: _Optional[int] = ..., at_once_ru: _Optional[float] = ..., trickle_ru: _Optional[float] = ..., trickle_s: _Optional[float] = ..., fallback_ru_per_s: _Optional[float] = ...) -> None: ...

class RangeDescriptor(_message.Message):
    __slots__ = ("range_id", "start", "end", "generation", "leaseholder")
    RANGE_ID_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    LEASEHOLDER_FIELD_NUMBER: _ClassVar[int]
    range_id: int
    start: bytes
    end: bytes
    generation: int
    leaseholder: str
    def __init__(self, range_id: _Optional[int] = ..., start: _Optional[bytes] = ..., end: _Optional[bytes] = ..., generation: _Optional[int] = ..., leaseholder: _Optional[str] = ...) -> None: ...

class RangesResult(_message.Message):
    __slots__ = ("ranges", "more")
    RANGES_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    ranges: _containers.RepeatedCompositeFieldContainer[RangeDescriptor]
    more: bool
    def __init__(self, ranges: _Optional[_Iterable[_Union[RangeDescriptor, _Mapping]]] = ..., more: _Optional[bool] = ...) -> None: ...

class Error(_message.Message):
    __slots__ = ("code", "message", "key", "number", "detail")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    code: ErrorCode
    message: str
    key: bytes
    number: int
    detail: str
    def __init__(self, code: _Optional[_Union[ErrorCode, str]] = ..., message: _Optional[str] = ..., key: _Optional[bytes] = ..., number: _Optional[int] = ..., detail: _Optional[str] = ...) -> None: ...
