"""Plan a network for a data set, and shrink the plan to a budget. Needs no deep-learning framework."""

from satsqueeze.plan.activation_memory import peak_activation_bytes
from satsqueeze.plan.architecture import Architecture
from satsqueeze.plan.budget import Budget, PlanCost, TrainingLoad, plan_cost
from satsqueeze.plan.cost_model import macs_per_pixel, parameter_count
from satsqueeze.plan.decision import Decision
from satsqueeze.plan.geometry import DatasetGeometry, dataset_geometry
from satsqueeze.plan.presets import PLANNERS
from satsqueeze.plan.shrink import SHRINK_RULES, shrink_to_budget
from satsqueeze.plan.unet_plan import UNetPlan, plan_unet

__all__ = [
    "PLANNERS",
    "SHRINK_RULES",
    "Architecture",
    "Budget",
    "DatasetGeometry",
    "Decision",
    "PlanCost",
    "TrainingLoad",
    "UNetPlan",
    "dataset_geometry",
    "macs_per_pixel",
    "parameter_count",
    "peak_activation_bytes",
    "plan_cost",
    "plan_unet",
    "shrink_to_budget",
]
