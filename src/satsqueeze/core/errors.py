"""Every error a user can meet. One tree, so that callers can catch a whole branch.

SatsqueezeError
├── SettingsError           a setting or a command-line value that cannot be
├── DataError               something about imagery or labels
│   ├── CardError           a dataset card that is malformed or unknown
│   ├── BandError           band names or counts that do not match
│   ├── RadiometryError     reflectance cannot be derived without guessing
│   ├── RasterError         a file that cannot be read as a raster
│   ├── GridError           sizes, coordinate systems or transforms that disagree
│   ├── LabelError          label values or label files that do not fit the card
│   └── SplitError          a split that cannot be made or leaks a group
├── BudgetError             a budget that nothing can meet
├── RunError                a run folder that cannot be used
├── TrainError              training that cannot start or went wrong
│   └── CollapseError       an embedding that says the same of every pixel
├── ExportError             a graph that cannot be exported or quantised
│   └── ParityError         the exported graph disagrees with its source
├── PackageError            a flight package that cannot be trusted
└── MissingDependencyError  an optional dependency is not installed
"""

from __future__ import annotations


class SatsqueezeError(Exception):
    """Base of every error raised on purpose. Its message says what was got, what was expected and what to do."""


class SettingsError(SatsqueezeError):
    """A setting is out of range or contradicts another one."""


class DataError(SatsqueezeError):
    """Imagery or labels cannot be used."""


class CardError(DataError):
    """A dataset card is malformed or unknown."""


class BandError(DataError):
    """Band names or counts do not match."""


class RadiometryError(DataError):
    """Digital numbers cannot be turned into reflectance without guessing."""


class RasterError(DataError):
    """A file cannot be read as a raster: missing, truncated, empty."""


class GridError(DataError):
    """Sizes, coordinate systems or transforms disagree."""


class LabelError(DataError):
    """Label values or label files do not fit the card."""


class SplitError(DataError):
    """A split cannot be made, or would leak a group."""


class BudgetError(SatsqueezeError):
    """No plan or student meets the budget."""


class RunError(SatsqueezeError):
    """A run folder cannot be used: another version, other settings, incomplete."""


class TrainError(SatsqueezeError):
    """Training cannot start, or diverged."""


class CollapseError(TrainError):
    """An embedding says the same of every pixel, so that nothing is learnt any more."""


class ExportError(SatsqueezeError):
    """A graph cannot be exported or quantised."""


class ParityError(ExportError):
    """The exported graph disagrees with its source beyond the stated tolerance."""


class PackageError(SatsqueezeError):
    """A flight package is incomplete, changed or of an unknown version."""


class MissingDependencyError(SatsqueezeError):
    """An optional dependency is not installed."""

    def __init__(self, module: str, extra: str) -> None:
        super().__init__(
            f"this step needs '{module}', which is not installed. Install it with: pip install 'satsqueeze[{extra}]'"
        )
        self.module = module
        self.extra = extra
