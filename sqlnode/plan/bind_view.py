"""Views: their query, bound where they are used."""

from pgwire.errors import FeatureNotSupported
from sqlnode.catalog.descriptors import ViewDesc
from sqlnode.parse.dml import DmlParser
from sqlnode.parse.query_syntax import Query
from sqlnode.plan.env import Env
from sqlnode.plan.query_result import QueryResult


def bind_view(env: Env, view: ViewDesc) -> QueryResult:
    """Bind a view's query. Its names are looked up in the view's own schema first."""
    from sqlnode.plan.bind_query import bind_query

    parser = DmlParser(view.sql)
    tree = parser.planned_statement()
    parser.expect_end()
    if not isinstance(tree, Query):
        raise FeatureNotSupported(f'the query of view "{view.name}" is not a SELECT')
    env.enter_view()
    before, widths = env.search_path, env.widths
    env.widths = dict(view.widths)
    own = next((s.name for s in env.catalog.schemas.values() if s.id == view.schema_id), None)
    if own is not None and own not in before:
        env.search_path = (own, *before)
    try:
        result = bind_query(env, tree, None)
    finally:
        env.search_path, env.widths = before, widths
        env.leave_view()
    if len(result.columns) != len(view.columns):
        raise FeatureNotSupported(f'the columns of view "{view.name}" have changed')
    return result
