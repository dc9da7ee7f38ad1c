"""Teacher logits of every image under every view, computed once and kept in a memory-mapped file per teacher."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.bands import band_positions
from satsqueeze.core.errors import BandError, RunError
from satsqueeze.core.run import fingerprint_of
from satsqueeze.data.cache.packed import PackedCache
from satsqueeze.data.sampling.dihedral import VIEWS, view_of
from satsqueeze.distill.class_teachers import ClassTeacher
from satsqueeze.distill.view_file import ViewFile, ViewKind, check_asked, unasked

RECORD = "answers.json"
LOGITS = "logits.npy"
FORMAT_VERSION = 1
_KIND = ViewKind(
    name="answers",
    record=RECORD,
    values=LOGITS,
    version=FORMAT_VERSION,
    shape=lambda record: (len(record["classes"]),),
)
_LARGEST = float(np.finfo(np.float16).max)


class TeacherAnswers:
    """Cached logits of one or several teachers for the items of a packed data set. Pickles as its paths.

    Each folder holds float16 (items, 8, K), NaN where the teacher was not asked: items as in the packed cache, views
    as in :mod:`satsqueeze.data.sampling.dihedral`. Images that are not square have four views, kept twice.

    Args:
        folders: of each teacher, as :func:`answer` returns them.
        cache: the data that was answered.
        pooled: answer every view with the mean over the eight views, a steadier teacher at no cost.

    Raises:
        RunError: no answers there, or those of other data; a damaged file.
    """

    def __init__(self, folders: Sequence[Path], cache: PackedCache, *, pooled: bool = False) -> None:
        if not folders:
            raise RunError("distillation needs the answers of at least one teacher, got none")
        self.folders, self.cache, self.pooled = tuple(folders), cache, pooled
        self._files = [ViewFile(folder, _KIND, cache) for folder in folders]
        self.teachers: tuple[str, ...] = tuple(file.teacher for file in self._files)
        """Names, in the order of the second axis of :meth:`rows`."""
        self.fingerprint = fingerprint_of([pooled, [file.fingerprint for file in self._files]])
        """Changes whenever the answers may."""
        self._arrays = [file.values() for file in self._files]

    def __reduce__(self) -> tuple[Callable[..., TeacherAnswers], tuple[object, ...]]:
        return _reopened, (self.folders, self.cache, self.pooled)

    @property
    def described(self) -> str:
        """Who answers, for the record."""
        return ", ".join(file.described for file in self._files) + (", pooled over views" if self.pooled else "")

    def only(self, teacher: int) -> TeacherAnswers:
        """The answers of one of the teachers."""
        return TeacherAnswers([self.folders[teacher]], self.cache, pooled=self.pooled)

    def rows(self, positions: NDArray[np.integer[Any]], views: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        """Logits float32 (N, T, K) of the items at ``positions`` (N,) of the packed cache, each under its view (N,).

        Raises:
            RunError: a teacher was not asked about an item.
        """
        if self.pooled:
            found = [array[positions].astype(np.float32).mean(axis=1) for array in self._arrays]
        else:
            found = [array[positions, views] for array in self._arrays]
        rows = np.stack(found, axis=1).astype(np.float32)
        check_asked(rows, positions, self.cache, absent="teacher answers", wanted="training and validation items")
        return rows


def answer(
    teachers: Sequence[ClassTeacher],
    cache: PackedCache,
    ids: Sequence[str],
    folder: Path,
    on_progress: Callable[[int, int], None] | None = None,
    *,
    batch_size: int = 64,
) -> TeacherAnswers:
    """Ask every teacher about the eight views of every item, once; a killed run continues where it stopped.

    Answers of a teacher are found again by its fingerprint and the data's, whatever other teachers or items there are.

    Args:
        teachers: at least one.
        cache: the images.
        ids: items to ask about; they need no labels.
        folder: each teacher gets a folder of its own in it.
        on_progress: called with (done, total), in items times teachers.
        batch_size: images per call of a teacher.

    Raises:
        RunError: no teacher, teachers whose task or classes differ from the data's, answers that are not finite; a full
            disk.
        BandError: a teacher needs a band that the data lacks.
        DataError: an item is not in the cache.
    """
    if not teachers:
        raise RunError("distillation needs at least one teacher, got none")
    channels = [_checked(teacher, cache) for teacher in teachers]
    wanted = np.array(sorted({cache.position(item) for item in ids}), np.int64)
    folders = []
    for number, (teacher, bands) in enumerate(zip(teachers, channels, strict=True)):
        file = _file(folder, teacher, cache)
        logits = file.writable()
        missing = wanted[unasked(logits[wanted])]
        done = number * len(wanted) + len(wanted) - len(missing)
        for chunk in _chunks(missing, cache, batch_size):
            if on_progress:
                on_progress(done, len(teachers) * len(wanted))
            logits[chunk] = _asked(teacher, cache, chunk, bands)
            logits.flush()
            done += len(chunk)
        folders.append(file.folder)
    if on_progress:
        on_progress(len(teachers) * len(wanted), len(teachers) * len(wanted))
    return TeacherAnswers(folders, cache)


def _checked(teacher: ClassTeacher, cache: PackedCache) -> list[int]:
    """Positions of the teacher's bands in the cache."""
    if teacher.task != cache.task:
        raise RunError(
            f"teacher '{teacher.name}' is for {teacher.task}, the data {cache.folder} for {cache.task}; take a teacher "
            "of the same task"
        )
    if tuple(teacher.classes) != tuple(cache.classes):
        raise RunError(f"teacher '{teacher.name}' {_difference(teacher.classes, cache.classes)}")
    try:
        return band_positions(cache.bands, teacher.bands)
    except BandError as error:
        raise BandError(
            f"teacher '{teacher.name}' cannot see this data: {error} Pack the data with these bands, or take another "
            "teacher"
        ) from error


def _difference(taught: Sequence[str], wanted: Sequence[str]) -> str:
    remedy = "take a teacher of the same classes, or an ONNX file whose contract maps its channels with class_map"
    if sorted(taught) == sorted(wanted):
        return f"has the data's classes in another order ({', '.join(taught)}; data: {', '.join(wanted)}); {remedy}"
    absent = [name for name in wanted if name not in taught]
    foreign = [name for name in taught if name not in wanted]
    return (
        f"has {len(taught)} classes, the data {len(wanted)}: the teacher lacks {', '.join(absent) or 'none'}, the data "
        f"lacks {', '.join(foreign) or 'none'}; {remedy}"
    )


def _file(folder: Path, teacher: ClassTeacher, cache: PackedCache) -> ViewFile:
    return ViewFile.prepared(
        folder / fingerprint_of([FORMAT_VERSION, teacher.fingerprint, cache.fingerprint])[:12],
        _KIND,
        cache,
        teacher={"name": teacher.name, "fingerprint": teacher.fingerprint},
        further={"classes": list(cache.classes)},
    )


def _chunks(positions: NDArray[np.int64], cache: PackedCache, batch_size: int) -> Iterator[NDArray[np.int64]]:
    """Runs of at most ``batch_size`` positions whose images have the same size."""
    sizes = [(cache.entries[position].height, cache.entries[position].width) for position in positions]
    start = 0
    for stop in range(1, len(positions) + 1):
        if stop == len(positions) or stop - start == batch_size or sizes[stop] != sizes[start]:
            yield positions[start:stop]
            start = stop


def _asked(
    teacher: ClassTeacher, cache: PackedCache, positions: NDArray[np.int64], bands: list[int]
) -> NDArray[np.float16]:
    """Logits (n, 8, K) of images of one size."""
    images = np.stack([cache.image(int(position))[bands] for position in positions])
    square = images.shape[2] == images.shape[3]
    views = range(VIEWS if square else VIEWS // 2)
    logits = np.stack([teacher.logits(np.ascontiguousarray(view_of(images, view))) for view in views], axis=1)
    expected = (len(positions), len(views), len(cache.classes))
    if logits.shape != expected:
        raise RunError(f"teacher '{teacher.name}' answers {logits.shape}, expected {expected}; it is no classifier")
    if not np.isfinite(logits).all():
        first = cache.entries[int(positions[int((~np.isfinite(logits)).any(axis=(1, 2)).argmax())])].id
        raise RunError(
            f"teacher '{teacher.name}' answers NaN or infinity, first for '{first}'; ask it at precision fp32, or "
            "train it again"
        )
    return np.clip(np.tile(logits, (1, VIEWS // len(views), 1)), -_LARGEST, _LARGEST).astype(np.float16)


def _reopened(folders: tuple[Path, ...], cache: PackedCache, pooled: bool) -> TeacherAnswers:
    return TeacherAnswers(folders, cache, pooled=pooled)
