"""Sample values of every type, as text, for the tests that compare implementations of functions."""

import random

VALUES = {
    "bool": ["t", "f"],
    "int2": ["0", "1", "-1", "7", "-7", "32767", "-32768", "100", "3"],
    "int4": ["0", "1", "-1", "7", "-7", "2", "3", "2147483647", "-2147483648", "100000", "33"],
    "int8": ["0", "1", "-1", "7", "-7", "9223372036854775807", "-9223372036854775808", "12"],
    "oid": ["0", "1", "26", "4294967295"],
    "float4": ["0", "1", "-1", "1.5", "2.5", "0.1", "3.4e38", "1e-40", "NaN", "Infinity", "-3.75"],
    "float8": ["0", "1", "-1", "1.5", "2.5", "-2.5", "0.1", "1e308", "1e-308", "5e-324", "NaN",
               "Infinity", "-Infinity", "7", "-3.75", "0.5", "1e15", "123456.789"],
    "numeric": ["0", "0.00", "1", "-1", "1.5", "2.50", "-2.5", "0.1", "100", "7", "-3.75", "NaN",
                "12345678901234567890.123456", "-0.000001", "Infinity", "-Infinity", "0.95"],
    "text": ["", "a", "abc", "ABC", "Hello World", "héllo", "ß", "  pad  ", "a,b,c", "%a_b",
             "x\\y", "abcabc", "日本語", "12", "a.c", "Ünï", "it's", '"q"', " 42 "],
    "bpchar": ["a", "a  ", "abc", "b "],
    "name": ["a", "pg_class", "Zz"],
    "char": ["a", "b", "Z"],
    "bytea": ["\\x", "\\x00", "\\x616263", "\\xff00ff"],
    "uuid": ["00000000-0000-0000-0000-000000000000", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"],
    "date": ["2000-01-01", "1999-12-31", "2024-02-29", "2024-01-31", "0044-03-15 BC", "infinity",
             "-infinity", "1970-01-01", "2020-12-31", "9999-12-31"],
    "time": ["00:00:00", "12:34:56.789", "23:59:59.999999", "24:00:00", "06:30:00"],
    "timestamp": ["2000-01-01 00:00:00", "1999-12-31 23:59:59.999999", "2024-02-29 12:34:56.789",
                  "2024-03-31 02:30:00", "2024-10-27 02:30:00", "infinity", "-infinity",
                  "0044-03-15 12:00:00 BC", "2024-01-31 00:00:00"],
    "timestamptz": ["2000-01-01 00:00:00+00", "1999-12-31 23:59:59.999999+00",
                    "2024-03-31 00:30:00+00", "2024-10-27 00:30:00+00", "infinity", "-infinity",
                    "2024-01-31 00:00:00+01"],
    "interval": ["0", "1 day", "-1 day", "1 mon", "1 year 2 mons 3 days 04:05:06.789", "36:00:00",
                 "-1 mons +2 days -03:00:00", "1 mon -30 days", "00:00:00.000001"],
    "json": ["1", '"a"', "null", "true", '[1,2,"x"]', '{"a":1,"b":{"c":[1,2]}}', "{}", "[]",
             ' { "z" : [ 1.50 , 1e3 ] } '],
    "jsonb": ["1", '"a"', "null", "true", '[1, 2, "x"]', '{"a": 1, "b": {"c": [1, 2]}}', "{}",
              "[]", "1.50", '{"bb": null, "a": "t"}'],
}  # fmt: skip


def _quoted(value):
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def add_arrays(seed=1):
    """Return VALUES with three arrays for each type: empty, with a NULL, of two dimensions."""
    chosen = random.Random(seed)
    pools = dict(VALUES)
    for name, values in VALUES.items():
        one = [_quoted(chosen.choice(values)) for _ in range(6)]
        pools["_" + name] = [
            "{}",
            "{" + f"{one[0]},NULL,{one[1]}" + "}",
            "{" + one[0] + "}",
            "{{" + f"{one[2]},{one[3]}" + "},{" + f"{one[4]},{one[5]}" + "}}",
        ]
    return pools
