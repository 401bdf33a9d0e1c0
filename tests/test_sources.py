"""Properties of the source text itself."""

import ast
import re
from pathlib import Path

import pytest

SOURCES = sorted((Path(__file__).parent.parent / "src" / "dvdgan").rglob("*.py"))
DEVICES = re.compile(r"^(cuda|mps|xpu|hip|npu|tpu|xla)(:\d+)?$")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(SOURCES[0].parent)))
def test_no_device_is_named(path):
    """Nothing hard-codes a device: no literal such as "cuda", no .cuda(), no torch.cuda."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            assert not DEVICES.match(node.value), f"line {node.lineno}: device literal {node.value!r}"
        if isinstance(node, ast.Attribute):
            assert node.attr not in ("cuda", "mps", "xpu"), f"line {node.lineno}: .{node.attr}"


OWN_PROCESSES = ("workers.py", "worker_process.py")  # calls go through pipes to processes that this one started

PINNED = ("features", "weights.py")  # weights only, of installed packages' files with their SHA-256 in the source


@pytest.mark.parametrize(
    "path",
    [path for path in SOURCES if path.name not in OWN_PROCESSES],
    ids=lambda path: str(path.relative_to(SOURCES[0].parent)),
)
def test_nothing_is_unpickled(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            assert not any(name.split(".")[0] in ("pickle", "cloudpickle", "dill", "joblib") for name in names)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load" and path.parts[-2:] == PINNED:
            assert {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}["weights_only"] == "True"
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "torch":
            allowed = ("load",) if path.parts[-2:] == PINNED else ()
            assert node.attr not in {"load", "save"} - set(allowed), f"line {node.lineno}: torch.{node.attr}"


def imports_of(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        ("networks", ("dvdgan.data", "dvdgan.training", "dvdgan.pipeline", "dvdgan.cli", "dvdgan.models")),
        ("data", ("dvdgan.networks", "dvdgan.training", "dvdgan.pipeline", "dvdgan.cli", "dvdgan.models", "torch")),
        ("runs", ("dvdgan.networks", "dvdgan.data", "dvdgan.training", "dvdgan.evaluation", "dvdgan.cli")),
        ("evaluation", ("dvdgan.training", "dvdgan.cli")),
        ("training", ("dvdgan.pipeline", "dvdgan.cli")),
    ],
)
def test_arrows_point_one_way(package, forbidden):
    for path in SOURCES:
        if path.parts[len(SOURCES[0].parent.parts)] == package:
            for name in imports_of(path):
                wrong = [other for other in forbidden if name == other or name.startswith(other + ".")]
                assert not wrong, f"{path.name} imports {name}"
