"""What two views of one place may differ in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from satsqueeze.core.errors import SettingsError

Dates = Literal["auto", "pairs", "one"]
_PROBABILITIES = ("jitter", "band_dropout", "haze", "clouds", "noise")
_RANGES = ("jitter_range", "haze_range", "cloud_cover_range", "noise_range")


@dataclass(frozen=True, kw_only=True)
class ViewSettings:
    """Views of one place: where they lie, of which dates they are, and what befalls them.

    Paper B tells of two views per sample and of augmentations of samples and of batches, but not which; all of these
    are our reading.
    """

    size: int = 64
    """Rows and columns of a view, pixels."""
    positions: int = 64
    """Pairs of pixels that are drawn from an image."""
    place: str = ""
    """Regular expression whose first ``(...)``, searched in an item's name, is its place: items of one place are its
    dates, such as ``(p\\d+)_d``. Empty: the place that the data set's
    card states as its series; else every item is a place of its own."""
    dates: Dates = "auto"
    """``pairs``: the views are of two dates; ``one``: of one; ``auto``: of two where a place has two. Of series,
    ``one`` shows the same dates twice, so that views differ in where they lie alone."""
    series: int = 0
    """Dates of a view, for networks over dates; the two views of a place share none, so that nothing but the ground
    tells them from others, unless ``dates`` is ``one``. Where a place has fewer than twice as many, half of its dates.
    0: a view is of one date."""
    avoid: tuple[str, ...] = ("cloud", "thick cloud", "thin cloud", "shadow")
    """Classes of the labels, where there are such, on which no pair is drawn."""
    avoid_unlabelled: bool = False
    """Whether no pair is drawn where labels are 255 in an image that has labels: where a cloud hides the label."""
    scale_range: tuple[float, float] = (0.7, 1.4)
    """Magnification of a view; 2 shows everything twice as large."""
    smallest_overlap: float = 0.3
    """Share of the smaller window that both windows hold at least."""
    apart: int = 0
    """Pixels of the image by which the two pixels of a pair lie apart at most, along rows and columns. Neighbours are
    mostly of one kind, and what they share tells less of where they are. Negatives should be further away: see
    ``neighbour_radius`` of the contrast."""
    mirror: bool = True
    """Flip and turn by quarters."""
    jitter: float = 0.8
    """Probability per view of multiplying the image, and each band a little, by factors within ``jitter_range``."""
    jitter_range: tuple[float, float] = (0.75, 1.3333)
    """Factor of reflectance, drawn for each band."""
    band_dropout: float = 0.2
    """Probability per batch and side that bands are missing, the same ones in all its images."""
    haze: float = 0.3
    """Probability per view of haze."""
    haze_range: tuple[float, float] = (0.02, 0.15)
    """Share of the light at 550 nm that comes from the haze instead of the ground."""
    clouds: float = 0.2
    """Probability per view of a drawn cloud patch; no pair is kept under it."""
    cloud_cover_range: tuple[float, float] = (0.05, 0.3)
    """Share of the view that the patch covers."""
    noise: float = 0.3
    """Probability per view of Gaussian noise."""
    noise_range: tuple[float, float] = (0.0, 0.1)
    """Its standard deviation, in standard deviations of the band over the data set."""

    def __post_init__(self) -> None:
        if self.size < 8 or self.positions < 1:
            raise SettingsError(
                f"a view needs at least 8 px and 1 position, got size {self.size} and positions {self.positions}"
            )
        if self.apart < 0:
            raise SettingsError(f"the pixels of a pair lie at least 0 px apart, got apart {self.apart}")
        if self.series < 0 or (self.series and self.place):
            raise SettingsError(
                f"series needs a number of dates >= 0, and places that the data set's card states; got series "
                f"{self.series} and place {self.place!r}"
            )
        if self.dates not in ("auto", "pairs", "one"):
            raise SettingsError(f"dates must be auto, pairs or one, got {self.dates!r}")
        for name in (*_PROBABILITIES, "smallest_overlap"):
            if not 0 <= getattr(self, name) <= 1:
                raise SettingsError(f"view setting '{name}' must lie in [0, 1], got {getattr(self, name)}")
        for name in (*_RANGES, "scale_range"):
            low, high = getattr(self, name)
            if not 0 <= low <= high:
                raise SettingsError(f"view setting '{name}' needs 0 <= low <= high, got {(low, high)}")
        if min(self.scale_range[0], self.jitter_range[0]) <= 0:
            raise SettingsError(
                f"scale_range and jitter_range must be positive, got {self.scale_range} and {self.jitter_range}"
            )
        if self.cloud_cover_range[1] > 1 or self.haze_range[1] > 1:
            raise SettingsError(
                f"shares cannot pass 1, got cloud_cover_range {self.cloud_cover_range}, haze_range {self.haze_range}"
            )
        self._check_place()

    def _check_place(self) -> None:
        try:
            groups = re.compile(self.place).groups if self.place else 1
        except re.error as error:
            raise SettingsError(f"view setting 'place' is no regular expression: {self.place!r} ({error})") from error
        if not groups:
            raise SettingsError(f"view setting 'place' needs a part in parentheses, got {self.place!r}")
