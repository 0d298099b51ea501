"""psql's describe commands: the answers that people see first, compared with PostgreSQL's.

psql_describe/commands.txt lists the commands, psql_<version>.txt what they print. Those without a
tilde must print the same in PostgreSQL, which is asked as well.
"""

import subprocess
from pathlib import Path

import pytest

from tests.e2e.pg_programs import find_programs
from tests.e2e.stack import Stack
from tests.unit.sqlnode.vecexec import postgres

pytestmark = pytest.mark.e2e

FOLDER = Path(__file__).parent / "psql_describe"
SCHEMA = FOLDER / "schema.sql"
COMMANDS = [
    line for line in (FOLDER / "commands.txt").read_text().splitlines() if not line.startswith("#")
]
SAME = [line for line in COMMANDS if not line.startswith("~")]


def version(psql):
    """Return psql's major version."""
    done = subprocess.run([psql, "--version"], capture_output=True, text=True, check=True)
    return int(done.stdout.split()[2].split(".")[0])


def answers(major):
    """Return the file of one version; an empty one is filled by --rewrite."""
    return FOLDER / f"psql_{major}.txt"


PSQLS = {major: path for path in find_programs("psql") if answers(major := version(path)).exists()}


def ask(psql, url, commands):
    """Return what psql prints for each command."""
    lines = []
    for number, command in enumerate(commands):
        lines += [f"\\echo @@@{number}", command.lstrip("~")]
    done = subprocess.run(
        [psql, "-X", "-d", url],
        input="\n".join(lines) + "\n",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=120,
    )
    blocks = done.stdout.split("@@@")[1:]
    return {
        commands[int(head)]: "\n".join(line.rstrip() for line in body.strip("\n").splitlines())
        for head, _, body in (block.partition("\n") for block in blocks)
    }


def load(psql, url):
    """Create the tables of schema.sql."""
    subprocess.run(
        [psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", url, "-f", str(SCHEMA)],
        check=True,
        timeout=60,
        stderr=subprocess.DEVNULL,
    )


def read_answers(path):
    """Return the recorded answers by command."""
    blocks = path.read_text().split("@@@")[1:]
    return {head: body.strip("\n") for head, _, body in (block.partition("\n") for block in blocks)}


@pytest.fixture(scope="module")
def url():
    """A tenant that holds the tables of schema.sql."""
    with Stack() as stack:
        stack.create_tenant("describe")
        found = stack.url("describe")
        load(next(iter(PSQLS.values())), found)
        yield found


@pytest.mark.parametrize("major", sorted(PSQLS))
def test_describe_commands_answer_as_recorded(url, major, rewrite):
    """People would see wrong columns, keys or defaults, or an error, when they look at a table."""
    path = answers(major)
    actual = ask(PSQLS[major], url, COMMANDS)
    if rewrite:
        blocks = (f"@@@{command}\n{answer}\n" for command, answer in actual.items())
        path.write_text("".join(blocks))
    recorded = read_answers(path)
    for command in COMMANDS:
        assert actual[command] == recorded[command], command


@pytest.mark.parametrize("major", sorted(PSQLS))
def test_recorded_answers_are_postgresqls(major):
    """The recorded answers would be our own mistakes, kept for ever."""
    path = answers(major)
    with postgres.running() as connection:
        connection.execute("CREATE ROLE app SUPERUSER LOGIN")
        connection.execute("CREATE DATABASE defaultdb OWNER app")
        folder = connection.info.host
        where = f"host={folder} user=app dbname=defaultdb"
        load(PSQLS[major], where)
        real = ask(PSQLS[major], where, SAME)
    recorded = read_answers(path)
    for command in SAME:
        assert recorded[command] == real[command], command
