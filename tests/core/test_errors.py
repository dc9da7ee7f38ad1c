"""The error tree: every error is caught by the branch it belongs to and says what to do."""

from __future__ import annotations

import inspect

import pytest

from satsqueeze.core import errors
from satsqueeze.core.errors import MissingDependencyError, SatsqueezeError

ALL = [value for _, value in inspect.getmembers(errors, inspect.isclass) if value.__module__ == errors.__name__]


@pytest.mark.parametrize("error", ALL)
def test_every_error_is_in_the_tree_and_documented(error):
    assert issubclass(error, SatsqueezeError)
    assert error.__doc__
    assert error.__name__ in (errors.__doc__ or "")


@pytest.mark.parametrize(
    ("child", "parent"),
    [
        (errors.CardError, errors.DataError),
        (errors.BandError, errors.DataError),
        (errors.RadiometryError, errors.DataError),
        (errors.RasterError, errors.DataError),
        (errors.GridError, errors.DataError),
        (errors.LabelError, errors.DataError),
        (errors.SplitError, errors.DataError),
        (errors.ParityError, errors.ExportError),
    ],
)
def test_branches_are_as_drawn(child, parent):
    assert issubclass(child, parent)


def test_missing_dependency_names_module_and_remedy():
    error = MissingDependencyError("torch", "train")
    assert (error.module, error.extra) == ("torch", "train")
    assert "'torch'" in str(error)
    assert "pip install 'satsqueeze[train]'" in str(error)
