"""Random statements over the tables of `family`, with few values, so that keys collide."""


def statement(rng):
    """Return one statement."""
    kinds = (
        (12, _insert_t), (5, _insert_u), (3, _insert_w), (10, _update_t), (3, _delete_t),
        (4, _change_joined), (13, _select_u), (10, _join_u), (6, _join_w), (4, _aggregate),
        (3, _group), (2, _distinct), (2, _lock), (23, _select_t),
    )  # fmt: skip
    return rng.choices([k for _, k in kinds], [weight for weight, _ in kinds])[0](rng)


def _int(rng):
    return "null" if rng.random() < 0.05 else str(rng.randrange(-2, 40))


def _condition_t(rng):
    op = rng.choice(["=", "<", "<=", ">", ">=", "<>"])
    n = _int(rng)
    return rng.choice(
        [
            f"a {op} {n}", f"a = {n}", f"b {op} {n}", f"b = {n}", f"{n} {op} b", "g", "not g",
            f"a in ({n}, {_int(rng)}, {_int(rng)})", f"b in ({n}, {_int(rng)})",
            f"c {op} 'c{rng.randrange(40)}'", f"d {op} {rng.randrange(-3, 5)}.5",
            f"e {op} {rng.choice(['1.5', '0', _nan(), '-1'])}", "b is null", "d is not null",
            f"f {op} '2020-01-{rng.randrange(1, 20):02}'", f"(a = {n} or b {op} {_int(rng)})",
        ]
    )  # fmt: skip


def _nan():
    return "'NaN'"


def _condition_u(rng):
    op, n, m = rng.choice(["=", "<", ">=", "<>"]), rng.randrange(40), rng.randrange(6)
    return rng.choice(
        [
            f"x = {n}", f"x {op} {n}", f"y {op} {m}", f"x = {n} and y = {m}",
            f"z {op} 'z{m}'", f"x in ({n}, {rng.randrange(40)}) and y in (1, 2)",
        ]
    )  # fmt: skip


def _where(rng, condition, most=4, least=0):
    parts = [condition(rng) for _ in range(rng.randrange(least, most))]
    parts = [f"not ({part})" if rng.random() < 0.1 else part for part in parts]
    return f" where {' and '.join(parts)}" if parts else ""


def _order(rng, columns, key):
    """Always a total order, so that LIMIT means the same rows everywhere."""
    if rng.random() < 0.4:
        return ""
    chosen = rng.sample(columns, rng.randrange(0, 3))
    chosen += [column for column in key if column not in chosen]
    ways = ["", " desc", " desc nulls last", " nulls first"]
    text = " order by " + ", ".join(column + rng.choice(ways) for column in chosen)
    if rng.random() < 0.5:
        text += f" limit {rng.randrange(0, 8)}"
        text += f" offset {rng.randrange(4)}" if rng.random() < 0.3 else ""
    return text


def _row_t(rng):
    others = [
        str(rng.randrange(40)), f"'c{rng.randrange(40)}'", str(rng.randrange(-300, 500) / 100),
        rng.choice(["1.5", "0", _nan(), "-1", "'Infinity'"]),
        f"'2020-01-{rng.randrange(1, 20):02}'", rng.choice(["true", "false"]),
    ]  # fmt: skip
    others = ["null" if rng.random() < 0.15 else text for text in others]
    return f"({rng.randrange(40)}, {', '.join(others)})"


def _insert_t(rng):
    rows = ", ".join(_row_t(rng) for _ in range(rng.randrange(1, 3)))
    clause = rng.choice(
        [
            "", " on conflict do nothing",
            " on conflict (a) do update set b = excluded.b, d = t.d + 1",
            " on conflict (c) do update set e = excluded.e where t.b > 5",
        ]
    )  # fmt: skip
    return f"insert into t values {rows}{clause}{rng.choice(['', ' returning *'])}"


def _insert_u(rng):
    row = f"({rng.randrange(40)}, {rng.randrange(6)}, 'z{rng.randrange(5)}')"
    return f"insert into u values {row}{rng.choice(['', ' on conflict do nothing'])}"


def _insert_w(rng):
    row = f"({rng.randrange(60)}, {rng.randrange(40)}, 'z{rng.randrange(5)}')"
    return f"insert into w values {row}{rng.choice(['', ' on conflict do nothing'])}"


def _update_t(rng):
    # One row where a unique column changes: which of two duplicates is named depends on row order.
    if rng.random() < 0.3:
        change = rng.choice([f"a = {rng.randrange(40)}", "c = c || 'x'"])
        return f"update t set {change} where a = {rng.randrange(40)} returning *"
    change = rng.choice(
        ["b = b + 1", "d = d * 2, b = a", "e = -e", "g = not g", "b = null",
         f"b = {rng.randrange(30)}, f = f + 1"]
    )  # fmt: skip
    return f"update t set {change}{_where(rng, _condition_t, 4, 1)} returning *"


def _delete_t(rng):
    return f"delete from t{_where(rng, _condition_t, 4, 2)} returning a, b"


def _change_joined(rng):
    n = rng.randrange(40)
    return rng.choice(
        [
            f"update u set y = y + 100, z = 'n' from t where t.a = u.x and t.b > {n} returning u.x",
            f"delete from u using t where t.a = u.x and t.b = {n} returning u.x, t.b",
            f"update w set uz = 'k' where ta in (select a from t where b > {n}) returning id",
        ]
    )


def _select_u(rng):
    return f"select * from u{_where(rng, _condition_u)}{_order(rng, ['x', 'y', 'z'], ['x', 'y'])}"


def _join_u(rng):
    tail = _where(rng, _condition_t) + _order(rng, ["a", "b", "y", "z"], ["a", "y"])
    return f"select t.a, t.c, u.y, u.z from t {_join(rng)} u on u.x = t.a{tail}"


def _join_w(rng):
    tail = _where(rng, _condition_t) + _order(rng, ["id", "b"], ["id"])
    return f"select w.id, t.b, t.c from w {_join(rng)} t on w.ta = t.a{tail}"


def _join(rng):
    return rng.choice(["join", "left join"])


def _aggregate(rng):
    return f"select count(*), sum(b), avg(d), min(c), max(f) from t{_where(rng, _condition_t)}"


def _group(rng):
    return f"select b, count(*), max(a) from t{_where(rng, _condition_t)} group by b order by b"


def _distinct(rng):
    tail = _where(rng, _condition_t)
    return rng.choice(
        [
            f"select distinct b, g from t{tail} order by b, g",
            f"select distinct on (b) b, a, c from t{tail} order by b, a desc",
            f"select distinct d, e from t{tail}",
        ]
    )


def _lock(rng):
    return (
        f"select a, b from t{_where(rng, _condition_t)}{_order(rng, [*'abcd'], ['a'])} for update"
    )


def _select_t(rng):
    columns = rng.choice(["*", "a, c", "a, b, d", "g, a"])
    tail = _where(rng, _condition_t) + _order(rng, [*"abcdefg"], ["a"])
    return f"select {columns} from t{tail}"
