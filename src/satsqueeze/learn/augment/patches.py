"""Augmentation of whole batches, by nnU-Net's 2-D recipe, on reflectance."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from satsqueeze.core.errors import SettingsError
from satsqueeze.core.labels import IGNORE
from satsqueeze.core.saturation import SATURATIONS, saturation_of
from satsqueeze.core.scaling import Scaling
from satsqueeze.learn.augment import geometry, intensity
from satsqueeze.learn.augment.draws import Draws
from satsqueeze.learn.augment.paste import pasted
from satsqueeze.learn.batch import TrainBatch

_OVERHEAD = 90.0  # degrees
_CHANNEL_SHARE = 0.5  # share of the bands that blur and coarsening touch


@dataclass(frozen=True, kw_only=True)
class AugmentSettings:
    """Probabilities per patch, and ranges. The defaults are those of nnU-Net v2 for near-square 2-D patches."""

    rotation: float = 0.2
    """Probability of turning by up to ``rotation_degrees`` either way."""
    rotation_degrees: float = 180.0
    """Largest turn either way."""
    scaling: float = 0.2
    """Probability of magnifying by a factor within ``scaling_range``."""
    scaling_range: tuple[float, float] = (0.7, 1.4)
    """Magnification; below 1 shows more ground."""
    noise: float = 0.1
    """Probability of Gaussian noise with a standard deviation within ``noise_range``."""
    noise_range: tuple[float, float] = (0.0, 0.1)
    """In standard deviations of the band over the data set."""
    blur: float = 0.2
    """Probability of blurring each band, with probability 0.5, by a sigma within ``blur_range``."""
    blur_range: tuple[float, float] = (0.5, 1.0)
    """Pixels."""
    brightness: float = 0.15
    """Probability of multiplying each band by its own factor within ``brightness_range``."""
    brightness_range: tuple[float, float] = (0.75, 1.25)
    """Factor of reflectance."""
    contrast: float = 0.15
    """Probability of stretching each band about its mean by its own factor, within the range it had."""
    contrast_range: tuple[float, float] = (0.75, 1.25)
    """Factor of the distance from the band's mean."""
    low_resolution: float = 0.25
    """Probability of coarsening each band, with probability 0.5, to a share within ``low_resolution_range``."""
    low_resolution_range: tuple[float, float] = (0.5, 1.0)
    """Share of the pixels per side that is left."""
    gamma: float = 0.3
    """Probability of a power law on each band that keeps its mean and standard deviation."""
    gamma_inverted: float = 0.1
    """Probability of the same on the negative image."""
    gamma_range: tuple[float, float] = (0.7, 1.5)
    """Exponent."""
    mirror: float = 0.5
    """Probability of flipping, for either axis."""
    transpose: float = 0.5
    """Probability of swapping rows and columns of a square patch; nnU-Net has no such step, 0 leaves it out."""
    paste: float = 0.0
    """Probability of pasting what is labelled foreground in another patch of the batch; not a step of nnU-Net."""
    saturation: float = 0.0
    """Probability of clipping bands where one of ``saturation_sensors`` would have; labels and teachers' answers stay
    those of the whole signal. Not a step of nnU-Net."""
    saturation_sensors: tuple[str, ...] = tuple(SATURATIONS)
    """``landsat-5-tm``, ``landsat-7-etm-high-gain`` and ``landsat-7-etm-low-gain``, or some of them; each as likely."""
    sun_elevation_range: tuple[float, float] = (45.0, 65.0)
    """Degrees, of the sun that saturation assumes. The lower it stands, the more reflectance a sensor bears; a low sun
    clips but the brightest band of snow a little, and gives it the colour of cloud."""

    def __post_init__(self) -> None:
        for entry in fields(self):
            value = getattr(self, entry.name)
            if entry.name.endswith("_range") and not 0 <= value[0] <= value[1]:
                raise SettingsError(f"augmentation '{entry.name}' needs 0 <= low <= high, got {value}")
            if entry.name in _PROBABILITIES and not 0 <= value <= 1:
                raise SettingsError(f"augmentation '{entry.name}' is a probability in [0, 1], got {value}")
        for name in ("scaling_range", "blur_range", "low_resolution_range", "gamma_range", "sun_elevation_range"):
            if getattr(self, name)[0] <= 0:
                raise SettingsError(f"augmentation '{name}' must be positive, got {getattr(self, name)}")
        if self.saturation and not self.saturation_sensors:
            raise SettingsError(f"augmentation 'saturation' needs 'saturation_sensors': {', '.join(SATURATIONS)}")
        for name in self.saturation_sensors:
            saturation_of(name)
        if self.sun_elevation_range[1] > _OVERHEAD:
            raise SettingsError(
                f"augmentation 'sun_elevation_range' ends at {_OVERHEAD:g} degrees, got {self.sun_elevation_range}"
            )

    @classmethod
    def none(cls) -> AugmentSettings:
        """No augmentation at all."""
        return cls().without(*_PROBABILITIES)

    @classmethod
    def geometric(cls) -> AugmentSettings:
        """Turns, flips and scales only: reflectance is left as it is."""
        kept = ("rotation", "scaling", "mirror", "transpose")
        return cls().without(*(name for name in _PROBABILITIES if name not in kept))

    def without(self, *names: str) -> AugmentSettings:
        """The same settings with the probabilities of these steps at 0.

        Raises:
            SettingsError: no such step.
        """
        unknown = sorted(set(names) - set(_PROBABILITIES))
        if unknown:
            raise SettingsError(
                f"no augmentation is called {', '.join(unknown)}; there are {', '.join(_PROBABILITIES)}"
            )
        changes: dict[str, Any] = dict.fromkeys(names, 0.0)
        return replace(self, **changes)


_PROBABILITIES = (
    "rotation",
    "scaling",
    "noise",
    "blur",
    "brightness",
    "contrast",
    "low_resolution",
    "gamma",
    "gamma_inverted",
    "mirror",
    "transpose",
    "paste",
    "saturation",
)


class Augmenter:
    """Augments batches; what it does depends on nothing but the seed and the number of the step.

    Args:
        settings: probabilities and ranges.
        scaling: names of the bands, and the standard deviation of their reflectance, the unit of the noise.
        seed: non-negative.

    Raises:
        SettingsError: bands are to be clipped, and none of them is known to saturate.
    """

    def __init__(self, settings: AugmentSettings, *, scaling: Scaling, seed: int) -> None:
        self._settings = settings
        self._band_std = torch.tensor(scaling.std, dtype=torch.float32)[:, None, None]
        levels = [saturation_of(name).levels(scaling.bands) for name in settings.saturation_sensors]
        self._levels = torch.from_numpy(np.array(levels, np.float32))
        if settings.saturation and not bool(self._levels.isfinite().any()):
            raise SettingsError(
                f"augmentation 'saturation' knows no level of {', '.join(scaling.bands)} for "
                f"{', '.join(settings.saturation_sensors)}; set it to 0"
            )
        self._seed = seed

    def __call__(self, batch: TrainBatch) -> TrainBatch:
        """Augment a batch in place. Invalid pixels (reflectance 0 in every band) stay invalid.

        Geometry is the same for images, labels and soft targets; intensities change in images only.
        """
        draws = Draws(self._seed, batch.step)
        batch = self.warped(batch, draws)
        chosen = draws.indices(self._settings.paste, len(batch.images))
        batch = pasted(batch, chosen, draws.others(chosen, len(batch.images)))
        valid = geometry.valid_pixels(batch.images)
        invalid = None if bool(valid.all()) else ~valid
        self._noise(batch.images, draws)
        self._blur(batch.images, invalid, draws)
        self._brightness(batch.images, draws)
        self._contrast(batch.images, invalid, draws)
        self._coarsen(batch.images, invalid, draws)
        self._gamma(batch.images, invalid, draws)
        if invalid is not None:
            batch.images.masked_fill_(invalid, 0.0)
        batch = self.flipped(batch, draws)
        self._saturate(batch.images, draws)
        return batch

    def warped(self, batch: TrainBatch, draws: Draws, *, repeats: int = 1) -> TrainBatch:
        """Some images turned and scaled, so many in a row alike: the dates of a place."""
        s, count = self._settings, len(batch.images) // repeats
        turned, scaled = draws.chosen(s.rotation, count), draws.chosen(s.scaling, count)
        degrees = (draws.uniform(-s.rotation_degrees, s.rotation_degrees, count) * turned).repeat_interleave(repeats)
        factors = torch.where(scaled, draws.factor(*s.scaling_range, count), 1.0).repeat_interleave(repeats)
        chosen = (turned | scaled).repeat_interleave(repeats).nonzero().flatten()
        height, width = batch.images.shape[-2:]
        matrices = geometry.sampling_matrices(degrees[chosen], factors[chosen], height=height, width=width)
        return geometry.warped(batch, chosen, matrices)

    def flipped(self, batch: TrainBatch, draws: Draws, *, repeats: int = 1) -> TrainBatch:
        """Some images mirrored and, where they are square, transposed; so many in a row alike."""
        s, count = self._settings, len(batch.images) // repeats
        square = batch.images.shape[-2] == batch.images.shape[-1]
        probabilities = (s.mirror, s.mirror, s.transpose if square else 0.0)
        turns = [draws.chosen(probability, count).repeat_interleave(repeats) for probability in probabilities]
        return geometry.oriented(batch, upside_down=turns[0], sideways=turns[1], transposed=turns[2])

    def _noise(self, images: Tensor, draws: Draws) -> None:
        chosen = draws.indices(self._settings.noise, len(images))
        if len(chosen):
            std = draws.uniform(*self._settings.noise_range, len(chosen), 1, 1, 1) * self._band_std
            noise = draws.normal(len(chosen), *images.shape[1:]) * std
            images[chosen.to(images.device)] += noise.to(images.device)

    def _brightness(self, images: Tensor, draws: Draws) -> None:
        chosen = draws.indices(self._settings.brightness, len(images))
        if len(chosen):
            factor = draws.factor(*self._settings.brightness_range, len(chosen), images.shape[1], 1, 1)
            images[chosen.to(images.device)] *= factor.to(images.device)

    def _contrast(self, images: Tensor, invalid: Tensor | None, draws: Draws) -> None:
        chosen = draws.indices(self._settings.contrast, len(images))
        if len(chosen):
            factor = draws.factor(*self._settings.contrast_range, len(chosen), images.shape[1], 1, 1)
            at = chosen.to(images.device)
            images[at] = intensity.contrasted(images[at], _among(invalid, at), factor)

    def _gamma(self, images: Tensor, invalid: Tensor | None, draws: Draws) -> None:
        s = self._settings
        for probability, inverted in ((s.gamma_inverted, True), (s.gamma, False)):
            chosen = draws.indices(probability, len(images))
            if len(chosen):
                gamma = draws.factor(*s.gamma_range, len(chosen), images.shape[1], 1, 1)
                at = chosen.to(images.device)
                images[at] = intensity.gamma_corrected(images[at], _among(invalid, at), gamma, inverted=inverted)

    def _blur(self, images: Tensor, invalid: Tensor | None, draws: Draws) -> None:
        patches, bands = self._planes(self._settings.blur, images, draws)
        if len(patches):
            sigma = draws.uniform(*self._settings.blur_range, len(patches))
            bad = _among(invalid, patches)
            images[patches, bands] = intensity.blurred(
                images[patches, bands], None if bad is None else bad[:, 0], sigma
            )

    def _coarsen(self, images: Tensor, invalid: Tensor | None, draws: Draws) -> None:
        patches, bands = self._planes(self._settings.low_resolution, images, draws)
        scales = draws.uniform(*self._settings.low_resolution_range, len(images)).tolist()
        for patch in sorted(set(patches.tolist())):
            touched = bands[patches == patch]
            bad = _among(invalid, torch.tensor([patch]))
            images[patch, touched] = intensity.coarsened(
                images[patch, touched], None if bad is None else bad[0], scales[patch]
            )

    def _saturate(self, images: Tensor, draws: Draws) -> None:
        chosen = draws.indices(self._settings.saturation, len(images))
        if len(chosen):
            sensors = draws.uniform(0, len(self._levels), len(chosen)).long()
            elevations = draws.uniform(*self._settings.sun_elevation_range, len(chosen))
            levels = self._levels[sensors] / elevations.deg2rad().sin()[:, None]
            at = chosen.to(images.device)
            images[at] = torch.minimum(images[at], levels[:, :, None, None].to(images))

    @staticmethod
    def _planes(probability: float, images: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        count, bands = images.shape[:2]
        chosen = draws.chosen(probability, count)[:, None] & draws.chosen(_CHANNEL_SHARE, count, bands)
        patch, band = chosen.nonzero(as_tuple=True)
        return patch.to(images.device), band.to(images.device)


def _among(invalid: Tensor | None, chosen: Tensor) -> Tensor | None:
    """The invalid pixels (M, 1, h, w) of the chosen patches; None where there are none, which is faster."""
    if invalid is None or not bool(invalid[chosen].any()):
        return None
    return invalid[chosen]


def soft_from_bytes(soft: Tensor) -> Tensor:
    """Teacher probabilities uint8 (N, ..., K, h, w) in 1/255 to float32 that sum to 1 over K, or to 0: no target."""
    return geometry.renormalised(soft.to(torch.float32) / IGNORE)
