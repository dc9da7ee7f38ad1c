"""Flying a package: opening, verifying, predicting, writing masks. Sees the core only, never torch."""

from satsqueeze.flight.classifier import ClassPrediction, FlightClassifier
from satsqueeze.flight.mask import quicklook, write_mask
from satsqueeze.flight.opening import open_classifier, open_package
from satsqueeze.flight.runtime import FlightModel, Prediction
from satsqueeze.flight.verify import VerifyReport, verify_package

__all__ = [
    "ClassPrediction",
    "FlightClassifier",
    "FlightModel",
    "Prediction",
    "VerifyReport",
    "open_classifier",
    "open_package",
    "quicklook",
    "verify_package",
    "write_mask",
]
