"""Every run-time parameter there is: name, type, default, bounds, and who may change it.

**Model.** One line of the table for each parameter. SET, SHOW, RESET, ParameterStatus and
pg_settings all read it. Values are kept as canonical text; numbers with a unit in that unit.

Contexts: `user` may be SET at any time, `superuser` as well (a tenant's owner is one), `backend`
only when the session starts, `internal` and `postmaster` never.

Source: PostgreSQL 15, src/backend/utils/misc/guc.c.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter."""

    name: str
    kind: str  # bool | integer | real | string | enum
    default: str
    context: str
    unit: str = ""
    low: float = 0
    high: float = 0
    values: tuple[str, ...] = ()
    category: str = ""
    description: str = ""


# name | kind | default | context | bounds low,high or enum values | unit | category | description
_TABLE: Final = """
allow_in_place_tablespaces|bool|off|superuser|||Developer Options|Allows tablespaces directly inside pg_tblspc, for testing.
application_name|string||user|||Reporting and Logging / What to Log|Sets the application name to be reported in statistics and logs.
array_nulls|bool|on|user|||Version and Platform Compatibility / Previous PostgreSQL Versions|Enable input of NULL elements in arrays.
backslash_quote|enum|safe_encoding|user|safe_encoding,on,off||Version and Platform Compatibility / Previous PostgreSQL Versions|Sets whether "\\'" is allowed in string literals.
block_size|integer|8192|internal|8192,8192||Preset Options|Shows the size of a disk block.
bytea_output|enum|hex|user|escape,hex||Client Connection Defaults / Statement Behavior|Sets the output format for bytea.
check_function_bodies|bool|on|user|||Client Connection Defaults / Statement Behavior|Check routine bodies during CREATE FUNCTION and CREATE PROCEDURE.
client_encoding|string|UTF8|user|||Client Connection Defaults / Locale and Formatting|Sets the client's character set encoding.
client_min_messages|enum|notice|user|debug5,debug4,debug3,debug2,debug1,log,notice,warning,error||Client Connection Defaults / Statement Behavior|Sets the message levels that are sent to the client.
constraint_exclusion|enum|partition|user|partition,on,off||Query Tuning / Other Planner Options|Enables the planner to use constraints to optimize queries.
cpu_tuple_cost|real|0.01|user|0,1e308||Query Tuning / Planner Cost Constants|Sets the planner's estimate of the cost of processing each tuple (row).
cursor_tuple_fraction|real|0.1|user|0,1||Query Tuning / Other Planner Options|Sets the planner's estimate of the fraction of a cursor's rows that will be retrieved.
data_checksums|bool|on|internal|||Preset Options|Shows whether data checksums are turned on for this cluster.
DateStyle|string|ISO, MDY|user|||Client Connection Defaults / Locale and Formatting|Sets the display format for date and time values.
deadlock_timeout|integer|1000|superuser|1,2147483647|ms|Lock Management|Sets the time to wait on a lock before checking for deadlock.
debug_print_plan|bool|off|user|||Reporting and Logging / What to Log|Logs each query's execution plan.
default_statistics_target|integer|100|user|1,10000||Query Tuning / Other Planner Options|Sets the default statistics target.
default_table_access_method|string|heap|user|||Client Connection Defaults / Statement Behavior|Sets the default table access method for new tables.
default_tablespace|string||user|||Client Connection Defaults / Statement Behavior|Sets the default tablespace to create tables and indexes in.
default_text_search_config|string|pg_catalog.simple|user|||Client Connection Defaults / Locale and Formatting|Sets default text search configuration.
default_toast_compression|enum|pglz|user|pglz,lz4||Client Connection Defaults / Statement Behavior|Sets the default compression method for compressible values.
default_transaction_deferrable|bool|off|user|||Client Connection Defaults / Statement Behavior|Sets the default deferrable status of new transactions.
default_transaction_isolation|enum|serializable|user|serializable,repeatable read,read committed,read uncommitted||Client Connection Defaults / Statement Behavior|Sets the transaction isolation level of each new transaction.
default_transaction_read_only|bool|off|user|||Client Connection Defaults / Statement Behavior|Sets the default read-only status of new transactions.
effective_cache_size|integer|524288|user|1,2147483647|8kB|Query Tuning / Planner Cost Constants|Sets the planner's assumption about the total size of the data caches.
effective_io_concurrency|integer|1|user|0,1000||Resource Usage / Asynchronous Behavior|Number of simultaneous requests that can be handled efficiently by the disk subsystem.
enable_bitmapscan|bool|on|user|||Query Tuning / Planner Method Configuration|Enables the planner's use of bitmap-scan plans.
enable_hashagg|bool|on|user|||Query Tuning / Planner Method Configuration|Enables the planner's use of hashed aggregation plans.
enable_hashjoin|bool|on|user|||Query Tuning / Planner Method Configuration|Enables the planner's use of hash join plans.
enable_indexonlyscan|bool|on|user|||Query Tuning / Planner Method Configuration|Enables the planner's use of index-only-scan plans.
enable_indexscan|bool|on|user|||Query Tuning / Planner Method Configuration|Enables the planner's use of index-scan plans.
enable_material|bool|on|user|||Query Tuning / Planner Method Configuration|Enables the planner's use of materialization.
enable_mergejoin|bool|on|user|||Query Tuning / Planner Method Configuration|Enables the planner's use of merge join plans.
enable_nestloop|bool|on|user|||Query Tuning / Planner Method Configuration|Enables the planner's use of nested-loop join plans.
enable_seqscan|bool|on|user|||Query Tuning / Planner Method Configuration|Enables the planner's use of sequential-scan plans.
enable_sort|bool|on|user|||Query Tuning / Planner Method Configuration|Enables the planner's use of explicit sort steps.
escape_string_warning|bool|on|user|||Version and Platform Compatibility / Previous PostgreSQL Versions|Warn about backslash escapes in ordinary string literals.
exit_on_error|bool|off|user|||Error Handling|Terminate session on any error.
extra_float_digits|integer|1|user|-15,3||Client Connection Defaults / Locale and Formatting|Sets the number of digits displayed for floating-point values.
from_collapse_limit|integer|8|user|1,2147483647||Query Tuning / Other Planner Options|Sets the FROM-list size beyond which subqueries are not collapsed.
geqo|bool|on|user|||Query Tuning / Genetic Query Optimizer|Enables genetic query optimization.
gin_fuzzy_search_limit|integer|0|user|0,2147483647||Client Connection Defaults / Other Defaults|Sets the maximum allowed result for exact search by GIN.
hash_mem_multiplier|real|2|user|1,1000||Resource Usage / Memory|Multiple of work_mem to use for hash tables.
idle_in_transaction_session_timeout|integer|0|user|0,2147483647|ms|Client Connection Defaults / Statement Behavior|Sets the maximum allowed idle time between queries, when in a transaction.
idle_session_timeout|integer|0|user|0,2147483647|ms|Client Connection Defaults / Statement Behavior|Sets the maximum allowed idle time between queries, when not in a transaction.
in_hot_standby|bool|off|internal|||Preset Options|Shows whether hot standby is currently active.
integer_datetimes|bool|on|internal|||Preset Options|Shows whether datetimes are integer based.
IntervalStyle|enum|postgres|user|postgres,postgres_verbose,sql_standard,iso_8601||Client Connection Defaults / Locale and Formatting|Sets the display format for interval values.
is_superuser|bool|off|internal|||Preset Options|Shows whether the current user is a superuser.
jit|bool|off|user|||Query Tuning / Other Planner Options|Allow JIT compilation.
join_collapse_limit|integer|8|user|1,2147483647||Query Tuning / Other Planner Options|Sets the FROM-list size beyond which JOIN constructs are not flattened.
lc_collate|string|C|internal|||Client Connection Defaults / Locale and Formatting|Shows the collation order locale.
lc_ctype|string|C.UTF-8|internal|||Client Connection Defaults / Locale and Formatting|Shows the character classification and case conversion locale.
lc_messages|string|C|superuser|||Client Connection Defaults / Locale and Formatting|Sets the language in which messages are displayed.
lc_monetary|string|C|user|||Client Connection Defaults / Locale and Formatting|Sets the locale for formatting monetary amounts.
lc_numeric|string|C|user|||Client Connection Defaults / Locale and Formatting|Sets the locale for formatting numbers.
lc_time|string|C|user|||Client Connection Defaults / Locale and Formatting|Sets the locale for formatting date and time values.
lo_compat_privileges|bool|off|superuser|||Version and Platform Compatibility / Previous PostgreSQL Versions|Enables backward compatibility mode for privilege checks on large objects.
lock_timeout|integer|0|user|0,2147483647|ms|Client Connection Defaults / Statement Behavior|Sets the maximum allowed duration of any wait for a lock.
log_duration|bool|off|superuser|||Reporting and Logging / What to Log|Logs the duration of each completed SQL statement.
log_min_duration_statement|integer|-1|superuser|-1,2147483647|ms|Reporting and Logging / When to Log|Sets the minimum execution time above which all statements will be logged.
log_statement|enum|none|superuser|none,ddl,mod,all||Reporting and Logging / What to Log|Sets the type of statements logged.
maintenance_work_mem|integer|65536|user|1024,2147483647|kB|Resource Usage / Memory|Sets the maximum memory to be used for maintenance operations.
max_connections|integer|100|postmaster|1,262143||Connections and Authentication / Connection Settings|Sets the maximum number of concurrent connections.
max_function_args|integer|100|internal|100,100||Preset Options|Shows the maximum number of function arguments.
max_identifier_length|integer|63|internal|63,63||Preset Options|Shows the maximum identifier length.
max_index_keys|integer|32|internal|32,32||Preset Options|Shows the maximum number of index keys.
max_parallel_workers|integer|8|user|0,1024||Resource Usage / Asynchronous Behavior|Sets the maximum number of parallel workers that can be active at one time.
max_parallel_workers_per_gather|integer|2|user|0,1024||Resource Usage / Asynchronous Behavior|Sets the maximum number of parallel processes per executor node.
max_prepared_transactions|integer|0|postmaster|0,262143||Resource Usage / Memory|Sets the maximum number of simultaneously prepared transactions.
max_stack_depth|integer|2048|superuser|100,2147483647|kB|Resource Usage / Memory|Sets the maximum stack depth, in kilobytes.
parallel_leader_participation|bool|on|user|||Resource Usage / Asynchronous Behavior|Controls whether Gather and Gather Merge also run subplans.
password_encryption|enum|scram-sha-256|user|md5,scram-sha-256||Connections and Authentication / Authentication|Chooses the algorithm for encrypting passwords.
plan_cache_mode|enum|auto|user|auto,force_generic_plan,force_custom_plan||Query Tuning / Other Planner Options|Controls the planner's selection of custom or generic plan.
port|integer|5432|postmaster|1,65535||Connections and Authentication / Connection Settings|Sets the TCP port the server listens on.
quote_all_identifiers|bool|off|user|||Version and Platform Compatibility / Previous PostgreSQL Versions|When generating SQL fragments, quote all identifiers.
random_page_cost|real|4|user|0,1e308||Query Tuning / Planner Cost Constants|Sets the planner's estimate of the cost of a nonsequentially fetched disk page.
row_security|bool|on|user|||Client Connection Defaults / Statement Behavior|Enable row security.
search_path|string|"$user", public|user|||Client Connection Defaults / Statement Behavior|Sets the schema search order for names that are not schema-qualified.
seq_page_cost|real|1|user|0,1e308||Query Tuning / Planner Cost Constants|Sets the planner's estimate of the cost of a sequentially fetched disk page.
server_encoding|string|UTF8|internal|||Preset Options|Shows the server (database) character set encoding.
server_version|string|15.0|internal|||Preset Options|Shows the server version.
server_version_num|integer|150000|internal|150000,150000||Preset Options|Shows the server version as an integer.
session_replication_role|enum|origin|superuser|origin,replica,local||Client Connection Defaults / Statement Behavior|Sets the session's behavior for triggers and rewrite rules.
shared_buffers|integer|16384|postmaster|16,1073741823|8kB|Resource Usage / Memory|Sets the number of shared memory buffers used by the server.
ssl|bool|off|postmaster|||Connections and Authentication / SSL|Enables SSL connections.
standard_conforming_strings|bool|on|user|||Version and Platform Compatibility / Previous PostgreSQL Versions|Causes '...' strings to treat backslashes literally.
statement_timeout|integer|0|user|0,2147483647|ms|Client Connection Defaults / Statement Behavior|Sets the maximum allowed duration of any statement.
synchronize_seqscans|bool|on|user|||Version and Platform Compatibility / Previous PostgreSQL Versions|Enable synchronized sequential scans.
synchronous_commit|enum|on|user|local,remote_write,remote_apply,on,off||Write-Ahead Log / Settings|Sets the current transaction's synchronization level.
tcp_keepalives_count|integer|0|user|0,2147483647||Connections and Authentication / TCP Settings|Maximum number of TCP keepalive retransmits.
tcp_keepalives_idle|integer|0|user|0,2147483647|s|Connections and Authentication / TCP Settings|Time between issuing TCP keepalives.
tcp_keepalives_interval|integer|0|user|0,2147483647|s|Connections and Authentication / TCP Settings|Time between TCP keepalive retransmits.
tcp_user_timeout|integer|0|user|0,2147483647|ms|Connections and Authentication / TCP Settings|TCP user timeout.
temp_buffers|integer|1024|user|100,1073741823|8kB|Resource Usage / Memory|Sets the maximum number of temporary buffers used by each session.
throttle_mode|enum|wait|user|wait,fail||Resource Usage / Request Units|Whether a statement waits or fails (53400) while the tenant is out of request units.
TimeZone|string|UTC|user|||Client Connection Defaults / Locale and Formatting|Sets the time zone for displaying and interpreting time stamps.
timezone_abbreviations|string|Default|user|||Client Connection Defaults / Locale and Formatting|Selects a file of time zone abbreviations.
track_activities|bool|on|superuser|||Statistics / Cumulative Query and Index Statistics|Collects information about executing commands.
transaction_deferrable|bool|off|user|||Client Connection Defaults / Statement Behavior|Whether to defer a read-only serializable transaction until it can be executed with no possible serialization failures.
transaction_isolation|enum|serializable|user|serializable,repeatable read,read committed,read uncommitted||Client Connection Defaults / Statement Behavior|Sets the current transaction's isolation level.
transaction_read_only|bool|off|user|||Client Connection Defaults / Statement Behavior|Sets the current transaction's read-only status.
transform_null_equals|bool|off|user|||Version and Platform Compatibility / Other Platforms and Clients|Treats "expr=NULL" as "expr IS NULL".
vacuum_cost_delay|real|0|user|0,100|ms|Resource Usage / Cost-Based Vacuum Delay|Vacuum cost delay in milliseconds.
wal_level|enum|replica|postmaster|minimal,replica,logical||Write-Ahead Log / Settings|Sets the level of information written to the WAL.
work_mem|integer|4096|user|64,2147483647|kB|Resource Usage / Memory|Sets the maximum memory to be used for query workspaces.
xmlbinary|enum|base64|user|base64,hex||Client Connection Defaults / Statement Behavior|Sets how binary values are to be encoded in XML.
xmloption|enum|content|user|content,document||Client Connection Defaults / Statement Behavior|Sets whether XML data in implicit parsing and serialization operations is to be considered as documents or content fragments.
zero_damaged_pages|bool|off|superuser|||Developer Options|Continues processing past damaged page headers.
session_authorization|string||internal|||Preset Options|Shows the session user.
role|string|none|internal|||Preset Options|Shows the current role.
"""  # noqa: E501


def _parse(line: str) -> Parameter:
    name, kind, default, context, bounds, unit, category, description = line.split("|")
    low = high = 0.0
    values: tuple[str, ...] = ()
    if kind == "enum":
        values = tuple(bounds.split(","))
    elif bounds:
        low, high = (float(bound) for bound in bounds.split(","))
    return Parameter(name, kind, default, context, unit, low, high, values, category, description)


PARAMETERS: Final[dict[str, Parameter]] = {
    parameter.name.lower(): parameter for parameter in map(_parse, _TABLE.strip().splitlines())
}
"""By lower-case name."""

REPORTED: Final = (
    "server_version",
    "server_encoding",
    "client_encoding",
    "application_name",
    "default_transaction_read_only",
    "in_hot_standby",
    "is_superuser",
    "session_authorization",
    "datestyle",
    "intervalstyle",
    "timezone",
    "integer_datetimes",
    "standard_conforming_strings",
)
"""What ParameterStatus tells the client, at the start and after each change."""

HIDDEN: Final = frozenset({"session_authorization", "role", "is_superuser"})
"""Known to SHOW by name, not listed by SHOW ALL and pg_settings."""
