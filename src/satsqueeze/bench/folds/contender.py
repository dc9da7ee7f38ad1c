"""Networks by the short names that recipes use."""

from __future__ import annotations

from satsqueeze.core.errors import SettingsError
from satsqueeze.nets.baselines import SmpUNetConfig
from satsqueeze.nets.students import StudentFamily, student_card, student_for_ratio
from satsqueeze.nets.unet_config import UNetConfig
from satsqueeze.plan.cost_model import parameter_count
from satsqueeze.plan.stage import network
from satsqueeze.plan.unet_plan import plan_unet

_CASES = 1000
"""Enough for nnU-Net's 5 % rule not to limit the batch, which a recipe states itself."""
_WHOLE_CHANNELS = 0.97
"""A ratio counts as met within 3 %, since widths come in whole channels."""


def network_config(name: str, *, bands: int, classes: int, shape: tuple[int, int]) -> UNetConfig | SmpUNetConfig:
    """The network that a recipe names.

    Args:
        name: ``planned``, ``planned:batch`` (with batch instead of instance norm, as suits short training),
            ``smp:<encoder>``, ``student:<rung>``, ``compressed:<ratio>``, ``lite:<ratio>`` or ``coarse:<ratio>``.
        bands: channels of an image.
        classes: number of logits.
        shape: height and width in pixels for which nnU-Net's rules plan.

    Raises:
        SettingsError: none of these.
        BudgetError: no student is that small.
    """
    kind, _, argument = name.partition(":")
    planned = plan_unet(shape=shape, channels=bands, labels=classes, n=_CASES)
    if name in ("planned", "planned:batch"):
        return network(planned, in_channels=bands, classes=classes, norm="batch" if argument else "instance")
    if kind == "smp":
        return SmpUNetConfig(encoder=argument, in_channels=bands, classes=classes)
    if kind == "student":
        return student_card(argument).fitted(in_channels=bands, classes=classes)
    families: dict[str, StudentFamily] = {"compressed": "unet", "lite": "lite", "coarse": "coarse"}
    if kind in families:
        parameters = parameter_count(planned.architecture, channels=bands, labels=classes)
        ratio = _WHOLE_CHANNELS * _ratio(name, argument)
        return student_for_ratio(parameters, ratio, in_channels=bands, classes=classes, family=families[kind]).config
    raise SettingsError(f"network '{name}': expected planned, smp:, student:, compressed:, lite: or coarse:")


def _ratio(name: str, argument: str) -> float:
    try:
        return float(argument)
    except ValueError as error:
        raise SettingsError(f"network '{name}': expected a ratio after the colon, such as lite:280") from error
