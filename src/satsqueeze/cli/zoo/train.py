"""``satsqueeze zoo train``: a classifier of the zoo on a data set."""

from __future__ import annotations

from pathlib import Path

from satsqueeze.cli.zoo.run import train_run
from satsqueeze.core.run import RunFolder
from satsqueeze.data.class_stage import ClassPrepareSettings
from satsqueeze.learn.class_settings import ClassFitSettings


def train(  # noqa: PLR0917 - all but the data set are flags
    data: str,
    model: str = "resnet8",
    out: Path = Path("runs/classifier"),
    card: str | None = None,
    bands: list[str] | None = None,
    split: str = "seeded",
    cache: Path | None = None,
    dropout: float = 0.0,
    init: Path | None = None,
    label_fraction: float = 1.0,
    fit: ClassFitSettings = ClassFitSettings(),  # noqa: B008 - frozen, and shown as the default
) -> int:
    """Train a classifier on a data set whose labels belong to whole images; resumes where it was stopped.

    Args:
        data: folder, zip file or YAML list of sources.
        model: a name of the zoo; see 'satsqueeze zoo list'.
        out: run folder.
        card: name of the dataset card, where the folder has no dataset.yaml.
        bands: common names in channel order; by default all that the sources share.
        split: seeded (stratified by class), official (as the paths of the data set tell), a file with a split, or a
            folder of lists of names (train.csv, val.csv, test.csv, or the same as .txt), or a table of names and parts
            (.csv, or .parquet with pyarrow).
        cache: folder to pack the images to, shared by several runs; by default within the run.
        dropout: share of the features before the last layer that training drops.
        init: run folder or flight package whose weights to start from, of the same network with other bands or classes;
            what was matched, averaged and fresh is printed. See --fit.freeze_epochs.
        label_fraction: share of the training images to learn from, of every class alike.
        fit: settings of the training.
    """
    prepare = ClassPrepareSettings(
        data=data, card=card, bands=tuple(bands or ()), split=split, cache="" if cache is None else str(cache)
    )
    scores = train_run(RunFolder(out), prepare, model, fit, dropout=dropout, init=init, label_fraction=label_fraction)
    print(f"{model}: {_sentence(scores)}; 'satsqueeze export {out}' makes a flight package of it")
    return 0


def _sentence(scores: dict[str, object]) -> str:
    validation, test = scores["validation_score"], scores.get("test")
    parts = [f"validation score {validation:.4f}" if isinstance(validation, float) else "not validated"]
    if isinstance(test, dict):
        several = "confusion" not in test
        name = "mean_average_precision" if several else "accuracy"
        parts.append(f"{name.replace('_', ' ')} {test[name]:.4f} on {test['images']} test images")
    return ", ".join(parts)
