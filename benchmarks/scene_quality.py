"""Quality of cloud masks: the shipped package, ukis-csmask and s2cloudless on the same pixels, in one run.

    python benchmarks/scene_quality.py [--scenes-per-biome 3] [--size 512] [--threads 2] [--out FILE]
        [--also PACKAGE...] [--ukis .venv-ukis/bin/python] [--s2cloudless .venv-s2cloudless/bin/python]

Three sets. ``patches``: the labelled real patches of labelled_patches.yaml, in four bands; s2cloudless wants bands that
these do not have, and is not scored there. ``saturated``: the same as sensors of older Landsats would have cut them off
(satsqueeze.core.saturation), at three elevations of the sun; no images of those sensors are at hand. ``generated``:
Sentinel-2-like scenes of the project's own generator with all 13 bands and exact labels, of seeds that no training set
draws. Our student learnt from scenes of this generator and no rival did, so this set favours ours.

Every program gets the whole image, and its own mask counts; ours with the buffer of its package, and without.
Jaccard of cloud (thick or thin), intersections and unions summed over all pixels, per source (of generated scenes, per
biome; of saturated patches, per sensor and sun) and over each set. Writes ``benchmarks/results/scene_quality.json``.
"""

from __future__ import annotations

import argparse
import itertools
import math
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rival_process import HERE, Rival, write_image

from satsqueeze.bench.machine import this_machine
from satsqueeze.cli.predict import shipped_package
from satsqueeze.core.bands import SENTINEL2
from satsqueeze.core.files import write_json
from satsqueeze.core.labels import CLOUD_FOREGROUND, IGNORE
from satsqueeze.core.metrics import SegmentationMetrics
from satsqueeze.core.package import SEAL
from satsqueeze.core.saturation import SATURATIONS
from satsqueeze.data.dataset import open_dataset
from satsqueeze.data.items.reader import read_sample
from satsqueeze.data.synth import BIOMES, SceneSettings, generate_scene
from satsqueeze.flight.opening import open_package
from satsqueeze.flight.runtime import FlightModel

RESULT = HERE / "results" / "scene_quality.json"
PATCHES = HERE / "labelled_patches.yaml"
DATA = HERE.parents[1] / "shared" / "data"
FOUR = ("blue", "green", "red", "nir")
SIX = (*FOUR, "swir16", "swir22")
THIRTEEN = tuple(SENTINEL2)
S2CLOUDLESS = ("coastal", "blue", "red", "rededge071", "nir", "nir08", "nir09", "cirrus", "swir16", "swir22")
FIRST_SEED = 2**31
"""Training sets draw the seeds of their scenes below it."""
SETS = ("patches", "saturated", "generated")
SUN_ELEVATIONS = (30, 45, 60)
"""Degrees."""
KEPT = ("jaccard", "precision", "recall", "accuracy", "pixels", "images", "jaccard_per_image_mean")
NOTES = (
    "generated scenes favour satsqueeze: its student learnt from scenes of this generator (other seeds), no rival did",
    "the recipe of the shipped package was chosen by its scores on these patches, so those are somewhat optimistic",
    "ukis-csmask was trained on scenes that are not known here, so its scores need not be held out",
    "ukis-csmask advises pixels of about 30 m; generated scenes and On Cloud N have 10 m",
    "On Cloud N is level 2A as far as known; all programs get it as level 1C",
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """An image with its truth."""

    name: str
    set: str
    """One of :data:`SETS`."""
    source: str
    bands: tuple[str, ...]
    reflectance: NDArray[np.float32]
    """(C, H, W)."""
    valid: NDArray[np.bool_]
    truth: NDArray[np.uint8]
    """(H, W): 1 = cloud, 255 = does not count."""
    gsd_m: float | None
    """Side of a pixel in metres."""

    def of(self, bands: Sequence[str]) -> NDArray[np.float32]:
        """Some of the bands."""
        return self.reflectance[[self.bands.index(band) for band in bands]]


def labelled_patches() -> Iterator[Case]:
    dataset = open_dataset(PATCHES)
    for item in dataset.labelled:
        sample = read_sample(item, FOUR)
        name = item.id.replace("/", "_")
        values, valid = sample.raster.values, sample.raster.valid
        yield Case(
            name=name, set="patches", source=item.source, bands=FOUR, reflectance=values, valid=valid,
            truth=sample.label, gsd_m=sample.gsd_m,
        )  # fmt: skip


def saturated(patches: Iterable[Case]) -> Iterator[Case]:
    for case in patches:
        for number, (name, sun) in enumerate(itertools.product(SATURATIONS, SUN_ELEVATIONS)):
            levels = SATURATIONS[name].levels(case.bands) / math.sin(math.radians(sun))
            cut = np.minimum(case.reflectance, levels[:, None, None].astype(np.float32))
            source = f"{name}, sun at {sun} degrees"
            yield replace(case, name=f"{case.name}_{number}", set="saturated", source=source, reflectance=cut)


def generated_scenes(per_biome: int, size: int) -> Iterator[Case]:
    for number in range(per_biome * len(BIOMES)):
        biome = BIOMES[number % len(BIOMES)]
        settings = SceneSettings(seed=FIRST_SEED + number, height=size, width=size, bands=THIRTEEN, biome=biome)
        scene = generate_scene(settings)
        cloud = np.isin(scene.labels, CLOUD_FOREGROUND).astype(np.uint8)
        yield Case(
            name=f"generated_{number:03d}", set="generated", source=biome, bands=THIRTEEN,
            reflectance=scene.reflectance, valid=scene.valid, truth=np.where(scene.valid, cloud, np.uint8(IGNORE)),
            gsd_m=settings.gsd,
        )  # fmt: skip


def scores(cases: Sequence[Case], masks: Sequence[NDArray[np.bool_]]) -> dict[str, Any]:
    """Scores of one program over each set, with those of its sources."""
    tallies: dict[tuple[str, str], SegmentationMetrics] = {}
    for case, mask in zip(cases, masks, strict=True):
        for source in ("", case.source):
            tally = tallies.setdefault((case.set, source), SegmentationMetrics(classes=2, foreground=(1,)))
            tally.update(case.truth, mask.astype(np.uint8), image=case.name)
    told = {key: {name: tally.to_dict()[name] for name in KEPT} for key, tally in tallies.items()}
    return {
        kind: {
            **told[kind, ""],
            "sources": [{"source": name, **told[other, name]} for other, name in told if other == kind and name],
        }
        for kind in dict.fromkeys(case.set for case in cases)
    }


def ours(name: str, model: FlightModel, cases: Sequence[Case]) -> dict[str, Any]:
    masks = []
    for case in cases:
        mask = model.predict(case.of(model.bands), model.bands, valid=case.valid, gsd_m=case.gsd_m)
        masks.append(np.isin(np.asarray(mask), model.foreground))
    about = f"{model.manifest.name}, {model.graph.precision} on {model.engine.name}, buffer {model.buffer_m:g} m"
    return {"program": name, "version": about, "bands": list(model.bands), **scores(cases, masks)}


def theirs(rival: Rival, bands: Sequence[str], cases: Sequence[Case], threads: int) -> dict[str, Any]:
    """The row of a rival that takes ``bands``: scores of the cases that have them, and why others are not scored."""
    row: dict[str, Any] = {"program": rival.name, "bands": list(bands)}
    absent = {case.set: [band for band in bands if band not in case.bands] for case in cases}
    row["not_scored"] = {kind: f"no band {', '.join(names)}" for kind, names in absent.items() if names}
    usable = [case for case in cases if not absent[case.set]]
    with tempfile.TemporaryDirectory() as name:
        images, kept = Path(name) / "images", Path(name) / "masks"
        images.mkdir()
        kept.mkdir()
        paths = [write_image(images / f"{case.name}.npy", case.of(bands), case.valid) for case in usable]
        run = rival.masks(paths, bands=bands, threads=threads, masks=kept)
        if run.not_measured:
            return {**row, "not_measured": run.not_measured}
        masks = [np.load(kept / path.name) for path in paths]
    return {**row, "version": run.reports[0]["version"], **scores(usable, masks)}


def rows(cases: Sequence[Case], options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    yield ours("satsqueeze", open_package(options.package, threads=options.threads), cases)
    bare = open_package(options.package, threads=options.threads, buffer_m=0.0)
    yield ours("satsqueeze, without buffer", bare, cases)
    for folder in options.also:
        yield ours(folder.name, open_package(folder, threads=options.threads), cases)
    ukis = {"python": options.ukis, "script": "rival_ukis.py"}
    yield theirs(Rival(name="ukis-csmask", **ukis), FOUR, cases, options.threads)
    yield theirs(Rival(name="ukis-csmask, six bands", **ukis), SIX, cases, options.threads)
    trees = {"python": options.s2cloudless, "script": "rival_s2cloudless.py"}
    yield theirs(Rival(name="s2cloudless", **trees), S2CLOUDLESS, cases, options.threads)
    plain = Rival(name="s2cloudless, neither averaged nor dilated", extra=("--plain",), **trees)
    yield theirs(plain, S2CLOUDLESS, cases, options.threads)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package", type=Path, default=shipped_package())
    parser.add_argument(
        "--also", type=Path, nargs="*", default=[], help="packages to compare with, named by their folders"
    )
    parser.add_argument("--scenes-per-biome", type=int, default=3)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--ukis", type=Path, default=Path(".venv-ukis/bin/python"))
    parser.add_argument("--s2cloudless", type=Path, default=Path(".venv-s2cloudless/bin/python"))
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    if not DATA.is_dir():
        parser.error(f"the labelled patches are expected at {DATA.resolve()}; see {PATCHES.name}")
    patches = list(labelled_patches())
    cases = [*patches, *saturated(patches), *generated_scenes(options.scenes_per_biome, options.size)]
    found = []
    for row in rows(cases, options):
        found.append(row)
        told = ", ".join(f"{kind} {row[kind]['jaccard']:.3f}" for kind in SETS if kind in row)
        print(f"{row['program']}: {told or row['not_measured']}", flush=True)
    record = {
        "machine": this_machine().to_dict(), "notes": list(NOTES), "rows": found,
        "package_sha256": (options.package / SEAL).read_text(encoding="ascii").strip(),
        "generated": {
            "first_seed": FIRST_SEED, "scenes": options.scenes_per_biome * len(BIOMES), "size": options.size,
            "bands": list(THIRTEEN), "gsd_m": SceneSettings(seed=0).gsd,
        },
    }  # fmt: skip
    write_json(options.out, record)
    print(options.out)


if __name__ == "__main__":
    main()
