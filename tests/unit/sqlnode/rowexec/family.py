"""Tables with every kind of index and constraint, as descriptors and as PostgreSQL's DDL."""

from sqlnode.catalog.descriptors import CheckDesc, FkAction, ForeignKeyDesc
from sqlnode.types import (
    BOOL,
    DATE,
    FLOAT8,
    INT4,
    INT8,
    NUMERIC,
    TEXT,
    SqlType,
    numeric_typmod,
)
from tests.unit.sqlnode.rowexec.tables import make_table

DDL = """
create table t(a int primary key, b int check (b < 1000), c text unique, d numeric(10,2),
  e float8, f date, g bool);
create index t_b on t(b); create index t_bd on t(b, d desc); create index t_e on t(e);
create table u(x int references t on delete cascade on update cascade, y bigint, z varchar(5),
  primary key(x, y));
create table w(id int primary key, ta int references t on delete set null,
  uz varchar(5) default 'dflt');
create table h(k int, v numeric);
"""
VARCHAR5 = SqlType(1043, 9)
T = make_table(
    [
        ("a", INT4), ("b", INT4), ("c", TEXT), ("d", SqlType(1700, numeric_typmod(10, 2))),
        ("e", FLOAT8), ("f", DATE), ("g", BOOL),
    ],
    table_id=20000,
    indexes=[
        ("t_b", ("b",), False), ("t_c_key", ("c",), True), ("t_bd", ("b", "-d"), False),
        ("t_e", ("e",), False),
    ],
    checks=(CheckDesc(1, "t_b_check", "(b < 1000)", (2,)),),
)  # fmt: skip
_U_KEY = ForeignKeyDesc(1, "u_x_fkey", (1,), T.id, (1,), FkAction.CASCADE, FkAction.CASCADE)
U = make_table(
    [("x", INT4), ("y", INT8), ("z", VARCHAR5)],
    ("x", "y"),
    table_id=30000,
    name="u",
    foreign_keys=(_U_KEY,),
)
_W_KEY = ForeignKeyDesc(1, "w_ta_fkey", (2,), T.id, (1,), FkAction.NO_ACTION, FkAction.SET_NULL)
W = make_table(
    [("id", INT4), ("ta", INT4), ("uz", VARCHAR5, {"default_sql": "'dflt'::character varying"})],
    ("id",),
    table_id=40000,
    name="w",
    foreign_keys=(_W_KEY,),
)
H = make_table(
    [("r", INT8, {"hidden": True}), ("k", INT4), ("v", NUMERIC)], ("r",), table_id=50000, name="h"
)
TABLES = (T, U, W, H)
