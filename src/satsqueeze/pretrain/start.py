"""Starting a network from a pre-training, or from another training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from satsqueeze.core.errors import RunError
from satsqueeze.core.files import read_json
from satsqueeze.nets.band_match import TOLERANCE_NM
from satsqueeze.nets.model import SegmentationModel
from satsqueeze.nets.source import Source
from satsqueeze.nets.transfer import transfer
from satsqueeze.nets.transfer_report import TransferReport
from satsqueeze.pretrain.pretraining import FORMAT_VERSION, RECORD_FILE


def start_network(
    folder: Path | str, model: SegmentationModel, *, tolerance_nm: float = TOLERANCE_NM
) -> TransferReport:
    """Take over what fits of the model of a run or flight package; see :func:`satsqueeze.nets.transfer.transfer`.

    Of a pre-training only what it trained is taken over: never its head, nor its decoder where it trained the encoder
    alone.

    Args:
        folder: run folder of a pre-training or training, the folder of its model, or a flight package.
        model: freshly drawn; changed in place.
        tolerance_nm: largest difference of centre wavelengths in nanometres.

    Raises:
        RunError, PackageError: there is no model, or it is damaged.
        SettingsError: the model has another architecture or normalisation; the message names what differs.
        BandError: no band has a counterpart.
    """
    source = Source.of(folder)
    fresh = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    trained, unmeasured = source.load()
    report = transfer(trained, model, tolerance_nm=tolerance_nm, origin=source.digest, unmeasured=unmeasured)
    if not (source.place / RECORD_FILE).is_file():
        return report
    untrained = fresh.keys() - _trained(source.place / RECORD_FILE)
    model.load_state_dict({name: fresh[name] for name in untrained}, strict=False)
    starts = {name: "fresh" if name in untrained else how for name, how in report.tensors.items()}
    return replace(report, tensors=starts, classes=(), fresh_classes=model.card.classes)


def _trained(path: Path) -> set[str]:
    record = read_json(path)
    if not isinstance(record, dict) or record.get("format_version") != FORMAT_VERSION or "trained" not in record:
        raise RunError(
            f"{path} is not a record of pre-training of format {FORMAT_VERSION}; use the version that wrote it, or "
            "pre-train again"
        )
    return set(record["trained"])
