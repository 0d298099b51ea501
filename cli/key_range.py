"""`insula range`: list, split, merge."""

from typing import Annotated, Any

import typer

from cli.errors import USAGE, CommandFailed
from cli.options import DataDir, Output, TenantName
from cli.output import OutputFormat, show_record, show_records
from cli.running_stack import find_stack
from kvapi.layout import describe_key
from kvapi.pb import admin_pb2

app = typer.Typer(no_args_is_help=True, help="See and change how tenants' keys are cut up.")
_COLUMNS = (
    "tenant",
    "range",
    "start",
    "end",
    "size_bytes",
    "keys",
    "reads_per_s",
    "writes_per_s",
    "generation",
    "leaseholder",
)


@app.command("list")
def list_ranges(
    tenant: Annotated[
        str | None, typer.Argument(metavar="[TENANT]", help="Only this tenant's.")
    ] = None,
    data_dir: DataDir = None,
    output: Output = OutputFormat.TABLE,
) -> None:
    """List ranges with their size and load; a size not known yet is left out."""
    from cli.admin_client import administering

    with administering(find_stack(data_dir)) as admin:
        show_records([_record(found) for found in admin.ranges(tenant or "")], _COLUMNS, output)


@app.command()
def split(
    tenant: TenantName,
    at: Annotated[
        str, typer.Option(help="A key in hex, as `start_hex` of `list -o json`; or `middle`.")
    ] = "middle",
    data_dir: DataDir = None,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Split a tenant's largest range in the middle of its bytes, or the one with a key there."""
    from cli.admin_client import administering

    key = None if at == "middle" else _hex_key(at)
    with administering(find_stack(data_dir)) as admin:
        admin.split_range(tenant, key=key)
        show_records([_record(found) for found in admin.ranges(tenant)], _COLUMNS, output)


@app.command()
def merge(
    tenant: TenantName,
    range_id: Annotated[int, typer.Argument(metavar="RANGE", help="Number of the left range.")],
    data_dir: DataDir = None,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Join a range with its right neighbour."""
    from cli.admin_client import administering

    with administering(find_stack(data_dir)) as admin:
        admin.merge_range(tenant, range_id=range_id)
        (joined,) = [r for r in admin.ranges(tenant) if r.range_id == range_id]
        show_record(_record(joined), output)


def _record(found: admin_pb2.Range) -> dict[str, Any]:
    return {
        "tenant": found.tenant,
        "range": found.range_id,
        "start": describe_key(found.start) or "(first)",
        "end": describe_key(found.end) or "(end)",
        "start_hex": found.start.hex(),
        "end_hex": found.end.hex(),
        "size_bytes": found.size_bytes if found.is_measured else None,
        "keys": found.key_count if found.is_measured else None,
        "reads_per_s": round(found.reads_per_s, 1),
        "writes_per_s": round(found.writes_per_s, 1),
        "generation": found.generation,
        "leaseholder": found.leaseholder or "(this node)",
    }


def _hex_key(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise CommandFailed(f"{text!r} is no key in hex", exit_code=USAGE) from error
