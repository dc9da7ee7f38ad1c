"""What of pre-training matters: a comparison of starts, made again with one thing changed at a time; resumable."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from satsqueeze.bench.row_file import write_rows
from satsqueeze.bench.starts.ablation_row import AblationRow
from satsqueeze.bench.starts.grid import InitGrid
from satsqueeze.bench.starts.recipe import InitRecipe
from satsqueeze.bench.starts.row import InitRow
from satsqueeze.core.errors import SettingsError
from satsqueeze.core.run import RunFolder

ROWS = "ablation.jsonl"


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A comparison of starts with one thing changed."""

    factor: str
    value: str
    recipe: InitRecipe

    @property
    def place(self) -> Path:
        """Folder within the run."""
        return Path("variants") / _file_name(self.factor) / _file_name(self.value)


class Ablation:
    """One ablation, kept in a run folder.

    Args:
        reference: of which one thing is changed at a time; with one start, beside a random one that is always made.
        names: what the reference has, by factor.
        variants: in order.
        run: where everything is kept.
        say: told what is being done, and each score.

    Raises:
        SettingsError: the reference has several starts or none but a random one, a variant is of another target, share
            of labels, seed or start, or two have one place.
    """

    def __init__(
        self,
        reference: InitRecipe,
        names: dict[str, str],
        variants: Sequence[Variant],
        run: RunFolder,
        say: Callable[[str], None] = print,
    ) -> None:
        if len(reference.starts) != 1 or reference.starts == ("random",):
            raise SettingsError(
                f"an ablation needs one start other than random, beside which a random one is made; got "
                f"{', '.join(reference.starts)}"
            )
        for variant in variants:
            _require_comparable(variant, reference)
        places = [variant.place for variant in variants]
        if len(set(places)) < len(places):
            raise SettingsError("variants of a factor need names that differ in letters and digits")
        self.reference, self.names, self.variants, self.run, self.say = reference, names, tuple(variants), run, say

    def execute(self) -> tuple[AblationRow, ...]:
        """Train and score what is missing; returns all rows: the random start's, then factor by factor.

        Raises:
            SplitError, DataError, RunError: see :meth:`satsqueeze.bench.starts.grid.InitGrid.execute`.
        """
        random = self._made(replace(self.reference, starts=("random",)), Path("random"))
        rows = [_row(row, "", "", is_reference=False) for row in random]
        base = self._made(self.reference, Path("reference"))
        for factor, name in self.names.items():
            rows += [_row(row, factor, name, is_reference=True) for row in base]
            for variant in self.variants:
                if variant.factor == factor:
                    self.say(f"{factor}: {variant.value}")
                    made = self._made(variant.recipe, variant.place)
                    rows += [_row(row, factor, variant.value, is_reference=False) for row in made]
        write_rows(self.run / ROWS, rows)
        return tuple(rows)

    def _made(self, recipe: InitRecipe, place: Path) -> tuple[InitRow, ...]:
        return InitGrid(recipe, RunFolder(self.run / str(place)), self.say, regions=self.run / "regions").execute()


def _row(row: InitRow, factor: str, value: str, *, is_reference: bool) -> AblationRow:
    return AblationRow(**row.to_dict(), factor=factor, value=value, is_reference=is_reference)


def _require_comparable(variant: Variant, reference: InitRecipe) -> None:
    for name in ("targets", "fractions", "seeds", "starts", "land"):
        mine, asked = getattr(variant.recipe, name), getattr(reference, name)
        if mine != asked:
            raise SettingsError(
                f"{variant.factor} {variant.value} has the {name} {_shown(mine)}, the reference {_shown(asked)}; only "
                "what they are compared at may not differ"
            )


def _shown(value: object) -> str:
    return str(list(value)) if isinstance(value, tuple) else str(value)


def _file_name(text: str) -> str:
    return "".join(character if character.isalnum() or character in ".-" else "_" for character in text)
