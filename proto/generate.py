"""Generate kvapi/pb from the .proto files, or check that what is committed is fresh (`--check`)."""

import re
import sys
import tempfile
from pathlib import Path

import grpc_tools
from grpc_tools import protoc

PROTO = Path(__file__).parent
TARGET = PROTO.parent / "kvapi" / "pb"


def generate(target: Path) -> None:
    """Write the generated modules into `target`, importing each other as kvapi.pb."""
    names = sorted(path.name for path in PROTO.glob("*.proto"))
    well_known = Path(grpc_tools.__file__).parent / "_proto"
    arguments = ["protoc", f"-I{PROTO}", f"-I{well_known}", f"--python_out={target}"]
    arguments += [f"--pyi_out={target}", f"--grpc_python_out={target}", *names]
    if protoc.main(arguments) != 0:
        raise SystemExit("protoc failed")
    for path in target.glob("*_pb2_grpc.py"):
        text = re.sub(
            r"^import (\w+_pb2)", r"from kvapi.pb import \1", path.read_text(), flags=re.M
        )
        path.write_text(text)


def main() -> int:
    """Generate, or with --check compare; 1 when the committed code is stale."""
    if "--check" not in sys.argv[1:]:
        generate(TARGET)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        fresh = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
    committed = {p.name: p.read_bytes() for p in TARGET.glob("*_pb2*")}
    stale = sorted(name for name in fresh | committed if fresh.get(name) != committed.get(name))
    if stale:
        sys.stderr.write(f"stale generated code: {', '.join(stale)}; run `make proto`\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
