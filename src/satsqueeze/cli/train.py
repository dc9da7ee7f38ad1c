"""``satsqueeze train``: the planned teacher, fold by fold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from satsqueeze.cli.stage import PLAN, TEACHER, console, open_run, require, run_stage
from satsqueeze.core.files import read_json
from satsqueeze.core.run import RunFolder
from satsqueeze.data.stage import load_prepared
from satsqueeze.learn.stage import train_folds
from satsqueeze.plan.stage import TrainPlan


def train(run: Path) -> int:
    """Train the planned teacher, one network per fold; resumes where it was stopped.

    Args:
        run: run folder with a plan.
    """
    scores = train_stage(open_run(run))
    print(f"{run / TEACHER}: validation Jaccard by fold {_listed(scores)}")
    return 0


def train_stage(run: RunFolder) -> list[float | None]:
    """Train all folds; returns the validation Jaccard of each."""
    require(run, "plan")
    prepared, planned = load_prepared(run), TrainPlan.read(run / PLAN)

    def work() -> dict[str, Any]:
        results = train_folds(planned.card, prepared.cache, prepared.folds, planned.fit, run / TEACHER)
        scores = [result.best_score for result in results]
        console.print(f"teacher: validation Jaccard by fold {_listed(scores)}")
        return {"validation_jaccard": scores, "train_minutes": sum(result.seconds for result in results) / 60}

    result = run_stage(run, "train", {**prepared.key, "plan": read_json(run / PLAN)}, work)
    return list(result["validation_jaccard"])


def _listed(scores: list[float | None]) -> str:
    return ", ".join("undefined" if score is None else f"{score:.3f}" for score in scores)
