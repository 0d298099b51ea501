"""Imports every module of rows, which registers them."""

from sqlnode.catalog.system import (  # noqa: F401 - imported for what they register
    rows_constraints,
    rows_information,
    rows_information_usage,
    rows_insula,
    rows_relations,
    rows_server,
    rows_types,
    rows_views,
)
