"""DuckDB over Arrow for the wide queries: any logical plan as DuckDB SQL with PostgreSQL's results.

Read query.py (what one execution does), physical.py (how values lie in DuckDB), render.py and the
modules it names (plans and scalars to text), numeric_forms.py (numeric, fixed or text), udfs.py
(registry functions inside DuckDB), arrow_scan.py and table_cache.py (tables to Arrow), engine.py
and loaded_tables.py (DuckDB itself).
"""
