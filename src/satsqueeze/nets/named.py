"""Networks that segment, by the names that commands take."""

from __future__ import annotations

from dataclasses import dataclass, replace

from satsqueeze.core.names import named
from satsqueeze.nets.encoder_unet import ENCODERS, EncoderUNetConfig
from satsqueeze.nets.students import STUDENTS, student_between
from satsqueeze.nets.unet_config import UNetConfig

ENCODER = "encoder:"
"""Before the name of a classifier of the zoo whose stages are the encoder."""


@dataclass(frozen=True, kw_only=True)
class NamedNetwork:
    """A network that has a name."""

    family: str
    """A key of :data:`satsqueeze.nets.card.FAMILIES`."""
    config: UNetConfig | EncoderUNetConfig
    """For some number of bands and classes; see `fitted`."""

    def fitted(self, *, in_channels: int, classes: int) -> UNetConfig | EncoderUNetConfig:
        """The same network for another number of bands and classes."""
        return replace(self.config, in_channels=in_channels, classes=classes)


NETWORKS: dict[str, NamedNetwork] = {
    **{name: NamedNetwork(family="unet", config=card.config) for name, card in STUDENTS.items()},
    **{
        f"{ENCODER}{model}": NamedNetwork(
            family="encoder-unet", config=EncoderUNetConfig(in_channels=4, classes=2, model=model)
        )
        for model in ENCODERS
    },
}
"""The students, and U-Nets on the classifiers of the zoo that can be an encoder."""


def named_network(name: str) -> NamedNetwork:
    """The network called ``name``, such as ``lite-16``, ``lite-6`` as a budget may choose it, or ``encoder:resnet8``.

    Raises:
        SettingsError: there is none.
    """
    between = student_between(name)
    return NamedNetwork(family="unet", config=between.config) if between else named(NETWORKS, name, "student")
