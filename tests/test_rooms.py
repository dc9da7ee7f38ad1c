"""The import order of the rooms, read from the source: imports inside functions and for type checking count too."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "satsqueeze"
ORDER = (
    {"core"},
    {"data"},
    {"nets"},
    {"learn"},
    {"plan", "pretrain"},
    {"distill"},
    {"export"},
    {"bench"},
    {"scale", "view", "cli"},
)
RANK = {room: rank for rank, rooms in enumerate(ORDER) for room in rooms}
# export proves its graphs on the engines that fly them; later rooms measure and use packages.
FLIGHT_PASSENGERS = {room for room, rank in RANK.items() if rank >= RANK["export"]}
TORCH_FREE = ("core", "data", "flight")
TORCH_FREE_COMMANDS = (
    "flags",
    "main",
    "data",
    "evaluate",
    "landcover",
    "mosaic",
    "package",
    "predict",
    "progress",
    "robustness",
    "scene_jobs",
    "synth",
)
BASE_INSTALL = {"numpy", "rasterio", "onnxruntime", "pydantic", "jsonargparse", "yaml", "rich", "pystac", "PIL"}
OPTIONAL_WITH_A_MESSAGE = {("flight", "openvino"), ("data", "pyarrow")}
DRAWERS = {"utils", "util", "helpers", "helper", "common", "misc"}

FILES = sorted(SOURCE.rglob("*.py"))


def room_of(path: Path) -> str:
    parts = path.relative_to(SOURCE).parts
    return parts[0] if len(parts) > 1 else ""


def imported(path: Path) -> Iterator[str]:
    """Every absolute module name that a file imports, wherever in the file the import stands."""
    package = ["satsqueeze", *path.relative_to(SOURCE).parent.parts]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            # "from satsqueeze import core" names a room only through its aliases.
            yield from (f"{module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and _name(node.func) in ("import_module", "__import__") and node.args:
            target = node.args[0]
            if isinstance(target, ast.Constant) and isinstance(target.value, str):
                yield target.value


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def rooms_seen(path: Path) -> set[str]:
    found = {name.split(".")[1] for name in imported(path) if name.startswith("satsqueeze.")}
    return found & {*RANK, "flight"}


def may_see(room: str, other: str) -> bool:
    if room == other:
        return True
    if room == "flight":
        return other == "core"
    if other == "flight":
        return room in FLIGHT_PASSENGERS
    return RANK[other] < RANK[room]


def test_the_reader_of_imports_sees_every_form(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "SOURCE", tmp_path)
    path = tmp_path / "data" / "sample.py"
    path.parent.mkdir()
    path.write_text(
        "from __future__ import annotations\n"
        "from typing import TYPE_CHECKING\n"
        "import importlib\n"
        "if TYPE_CHECKING:\n    from satsqueeze.nets.unet import UNet\n"
        "def f():\n    import torch\n    from satsqueeze import export\n"
        "    importlib.import_module('satsqueeze.bench.row')\n"
        "class A:\n    from ..learn import fit\n"
    )
    assert rooms_seen(path) == {"nets", "export", "bench", "learn"}
    assert "torch" in set(imported(path))


def test_there_are_files_to_read():
    assert len(FILES) > 20
    assert {room_of(path) for path in FILES} <= {*RANK, "flight", ""}, "a new room needs its place in the order"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_every_import_follows_the_order(path):
    room = room_of(path)
    if not room:
        assert path.name in ("__init__.py", "__main__.py"), f"{path.name} belongs in a room"
        return
    wrong = {other for other in rooms_seen(path) if not may_see(room, other)}
    assert not wrong, f"{room} may not see {', '.join(sorted(wrong))}"


@pytest.mark.parametrize(
    "path",
    [path for path in FILES if room_of(path) in TORCH_FREE],
    ids=lambda path: path.relative_to(SOURCE).as_posix(),
)
def test_core_data_and_flight_need_the_base_install_only(path):
    outside = {name.split(".")[0] for name in imported(path)} - sys.stdlib_module_names - {"satsqueeze"}
    outside -= {module for room, module in OPTIONAL_WITH_A_MESSAGE if room == room_of(path)}
    assert outside <= BASE_INSTALL


def test_rooms_and_commands_that_fly_start_without_torch():
    modules = [
        ".".join(["satsqueeze", *path.relative_to(SOURCE).with_suffix("").parts]).removesuffix(".__init__")
        for path in FILES
        if room_of(path) in TORCH_FREE or (room_of(path) == "cli" and path.stem in TORCH_FREE_COMMANDS)
    ]
    modules += [
        "satsqueeze.bench.evaluate",
        "satsqueeze.bench.robustness.score",
        "satsqueeze.bench.latency",
        "satsqueeze.bench.energy",
    ]
    program = (
        "import importlib, sys\n"
        "for name in ('torch', 'torchvision', 'lightning', 'onnx', 'matplotlib', 'jinja2', 'scipy', 'sklearn'):\n"
        "    sys.modules[name] = None\n"
        f"for name in {modules!r}:\n    importlib.import_module(name)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_input_is_checked_by_errors_and_files_have_a_subject(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    asserts = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Assert)]
    assert not asserts, f"raise a typed error instead of assert in lines {asserts}"
    assert path.stem not in DRAWERS
