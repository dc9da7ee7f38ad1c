"""``satsqueeze demo``: the whole job on generated data, in minutes."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from satsqueeze.bench.latency import LatencySettings
from satsqueeze.bench.suite import PackageBench
from satsqueeze.cli.squeeze import SqueezeSettings, show, squeeze_stages
from satsqueeze.cli.stage import console, run_stage
from satsqueeze.core.run import RunFolder
from satsqueeze.data.stage import PrepareSettings
from satsqueeze.data.synth import DatasetSettings, write_dataset
from satsqueeze.data.synth.biomes import Biome
from satsqueeze.distill.stage import DistillSettings
from satsqueeze.export.settings import ExportSettings
from satsqueeze.plan.budget import Budget
from satsqueeze.plan.schedule import ScheduleSettings
from satsqueeze.plan.stage import PlanSettings
from satsqueeze.pretrain.teacher import TeacherPretraining

BIOMES: tuple[Biome, ...] = ("farmland", "forest", "urban", "coast", "wetland", "desert", "savanna")
"""Without snow and mountains: to tell snow from cloud in four bands takes more than minutes of training."""
SCENES = DatasetSettings(seed=0, scenes=60, size=256, biomes=BIOMES)


def demo(out: Path = Path("runs/demo"), json: bool = False) -> int:
    """Generate scenes and squeeze them: some minutes on two cores.

    Args:
        out: run folder; created if absent, continued if it was stopped.
        json: print the benchmark rows as JSON lines instead of a table.
    """
    started = time.monotonic()
    run = RunFolder(out)

    def generate() -> dict[str, int]:
        return {"scenes": len(write_dataset(SCENES, run / "scenes"))}

    run_stage(run, "scenes", SCENES, generate, outputs=("scenes/dataset.yaml",))
    show(squeeze_stages(demo_settings(run / "scenes"), run), run, json=json)
    console.print(f"{time.monotonic() - started:.0f} s in all")
    return 0


def demo_settings(scenes: Path) -> SqueezeSettings:
    """Settings that are done in minutes, the same on every machine; only the schedules are shorter than usual."""
    distill = DistillSettings()
    return SqueezeSettings(
        prepare=PrepareSettings(data=str(scenes), folds=2),
        plan=PlanSettings(
            budget=Budget(parameters=2_200_000),
            schedule=ScheduleSettings(epochs=8, steps_per_epoch=42, batch_size=6, patch_size=(128, 128)),
        ),
        pretrain=TeacherPretraining(epochs=4, steps_per_epoch=25, batch_size=4),
        distill=replace(
            distill, fit=replace(distill.fit, epochs=9, steps_per_epoch=50, batch_size=8, learning_rate=1e-2)
        ),
        # The search for layers that OpenVINO should leave in float would take as long as all the rest of the export.
        export=ExportSettings(openvino="off"),
        bench=PackageBench(latency=LatencySettings(repeats=10), energy_repeats=10),
    )
