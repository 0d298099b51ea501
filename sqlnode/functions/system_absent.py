"""Functions about what Insula does not have or cannot know honestly; their answer is "nothing".

Triggers, rules, partitions, publications, extended statistics, SQL-language functions and foreign
data do not exist, so there is no text to show for them. Sizes in bytes are the KV node's business:
they are NULL here rather than a guess.
"""

from collections.abc import Callable
from typing import Any, Final

from sqlnode.functions.define import STABLE, function
from sqlnode.types import NAME, TEXT

_NOTHING: Final = (
    "pg_get_triggerdef(oid) text",
    "pg_get_triggerdef(oid, bool) text",
    "pg_get_ruledef(oid) text",
    "pg_get_ruledef(oid, bool) text",
    "pg_get_function_sqlbody(oid) text",
    "pg_get_functiondef(oid) text",
    "pg_get_function_arg_default(oid, int4) text",
    "pg_get_statisticsobjdef(oid) text",
    "pg_get_statisticsobjdef_columns(oid) text",
    "pg_get_statisticsobjdef_expressions(oid) text[]",
    "pg_get_partkeydef(oid) text",
    "pg_get_partition_constraintdef(oid) text",
    "pg_partition_root(regclass) regclass",
    "pg_relation_filepath(regclass) text",
    "pg_relation_size(regclass) int8",
    "pg_relation_size(regclass, text) int8",
    "pg_table_size(regclass) int8",
    "pg_indexes_size(regclass) int8",
    "pg_total_relation_size(regclass) int8",
    "pg_database_size(name) int8",
    "pg_database_size(oid) int8",
    "pg_tablespace_size(name) int8",
    "pg_tablespace_size(oid) int8",
)
_FALSE: Final = (
    "pg_relation_is_publishable(regclass) bool",
    "pg_is_wal_replay_paused() bool",
    "pg_is_other_temp_schema(oid) bool",
    "row_security_active(oid) bool",
    "row_security_active(text) bool",
)
_NO_ROWS: Final = (
    "pg_partition_ancestors(regclass) regclass",
    "pg_get_publication_tables(text) oid",
)


def _always(value: Any) -> Callable[..., Any]:
    return lambda *_args: value


for _signature in _NOTHING:
    function(_signature, _always(None), volatility=STABLE)
for _signature in _FALSE:
    function(_signature, _always(False), volatility=STABLE)
for _signature in _NO_ROWS:
    function(_signature, _always(()), volatility=STABLE, returns_set=True)
function(
    "pg_available_extensions() record",
    _always(()),
    volatility=STABLE,
    returns_set=True,
    out_names=("name", "default_version", "comment"),
    out_types=(NAME, TEXT, TEXT),
)
function("pg_tablespace_location(oid) text", _always(""), volatility=STABLE)
function("getdatabaseencoding() name", _always("UTF8"), volatility=STABLE)
