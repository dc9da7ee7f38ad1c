"""Plan a network for a data set, and shrink the plan to a budget. Needs no deep-learning framework."""

from satsqueeze.plan.architecture import Architecture
from satsqueeze.plan.decision import Decision
from satsqueeze.plan.geometry import DatasetGeometry, dataset_geometry
from satsqueeze.plan.presets import PLANNERS
from satsqueeze.plan.unet_plan import UNetPlan, plan_unet

__all__ = [
    "PLANNERS",
    "Architecture",
    "DatasetGeometry",
    "Decision",
    "UNetPlan",
    "dataset_geometry",
    "plan_unet",
]
