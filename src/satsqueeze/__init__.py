"""satsqueeze: train big on the ground, fly small.

``satsqueeze.open_package(path)`` opens a flight package; it needs neither torch nor the training extras.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from satsqueeze.core.errors import SatsqueezeError
    from satsqueeze.flight.classifier import FlightClassifier
    from satsqueeze.flight.native import open_native
    from satsqueeze.flight.opening import open_classifier, open_package
    from satsqueeze.flight.runtime import FlightModel
    from satsqueeze.flight.series import open_series
    from satsqueeze.plan import plan_unet

__all__ = [
    "FlightClassifier",
    "FlightModel",
    "SatsqueezeError",
    "__version__",
    "open_classifier",
    "open_native",
    "open_package",
    "open_series",
    "plan_unet",
]

__version__ = "0.1.0"

_HOME = {
    "FlightClassifier": "satsqueeze.flight.classifier",
    "FlightModel": "satsqueeze.flight.runtime",
    "SatsqueezeError": "satsqueeze.core.errors",
    "open_classifier": "satsqueeze.flight.opening",
    "open_native": "satsqueeze.flight.native",
    "open_package": "satsqueeze.flight.opening",
    "open_series": "satsqueeze.flight.series",
    "plan_unet": "satsqueeze.plan",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that importing satsqueeze costs nothing."""
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'satsqueeze' has no attribute {name!r}")
