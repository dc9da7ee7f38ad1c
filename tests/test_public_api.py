"""The public names: all of them resolve, none of them costs anything before it is used."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

import pytest

import satsqueeze


@pytest.mark.parametrize("name", satsqueeze.__all__)
def test_every_public_name_resolves(name):
    value = getattr(satsqueeze, name)
    assert value is not None
    assert getattr(value, "__doc__", None), f"{name} has no docstring"


def test_the_list_is_sorted_complete_and_equals_what_is_lazy():
    assert len(set(satsqueeze.__all__)) == len(satsqueeze.__all__)
    lazy = set(satsqueeze._HOME)
    assert set(satsqueeze.__all__) == lazy | {"__version__"}
    assert {name for name in satsqueeze.__all__ if not name.startswith("__")} == lazy


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nonsense"):
        _ = satsqueeze.nonsense


def test_the_version_is_that_of_the_distribution():
    assert satsqueeze.__version__ == version("satsqueeze")


def test_importing_satsqueeze_imports_nothing_heavy():
    program = (
        "import sys, satsqueeze\n"
        "heavy = {'torch', 'numpy', 'rasterio', 'onnxruntime', 'lightning'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_opening_a_package_needs_no_torch():
    program = (
        "import sys\n"
        "for name in ('torch', 'torchvision', 'lightning', 'onnx', 'scipy', 'sklearn', 'matplotlib'):\n"
        "    sys.modules[name] = None\n"
        "import satsqueeze\n"
        "satsqueeze.open_package, satsqueeze.FlightModel, satsqueeze.SatsqueezeError\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
