"""Shrink a plan to a budget by stated rules, in a stated order, each step recorded.

1. halve-width: halve the channels of all stages, down to 8 in the finest.
2. drop-deepest-stage: remove the bottleneck, down to 3 stages.
3. fewer-blocks: halve the convolutions or blocks of every stage, down to 1.
4. halve-patch: halve the longer edge of the patch, down to 64 pixels; stages whose feature maps would get edges below
   4 pixels go with it.
5. halve-width-further: halve the channels again, down to 2 in the finest stage.

No step raises any figure. A step that lowers none of the exceeded figures is left out, unless the budget cannot be met
without it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from satsqueeze.core.errors import BudgetError, SettingsError
from satsqueeze.plan.architecture import Pair
from satsqueeze.plan.budget import Budget, PlanCost, TrainingLoad, plan_cost
from satsqueeze.plan.decision import Decision
from satsqueeze.plan.unet_plan import UNetPlan

_MINIMUM_EDGE = 4
_MINIMUM_PATCH_EDGE = 64


def _halve_width(floor: int) -> Callable[[UNetPlan], UNetPlan | None]:
    def halve(plan: UNetPlan) -> UNetPlan | None:
        if plan.features_per_stage[0] // 2 < floor:
            return None
        return replace(plan, features_per_stage=tuple(max(1, width // 2) for width in plan.features_per_stage))

    return halve


def _drop_deepest_stage(plan: UNetPlan) -> UNetPlan | None:
    if plan.n_stages <= 3:
        return None
    return replace(
        plan,
        n_stages=plan.n_stages - 1,
        features_per_stage=plan.features_per_stage[:-1],
        strides=plan.strides[:-1],
        kernel_sizes=plan.kernel_sizes[:-1],
        n_conv_per_stage=plan.n_conv_per_stage[:-1],
        n_conv_per_stage_decoder=plan.n_conv_per_stage_decoder[1:],
    )


def _fewer_blocks(plan: UNetPlan) -> UNetPlan | None:
    if max((*plan.n_conv_per_stage, *plan.n_conv_per_stage_decoder)) == 1:
        return None
    return replace(
        plan,
        n_conv_per_stage=tuple(max(1, blocks // 2) for blocks in plan.n_conv_per_stage),
        n_conv_per_stage_decoder=tuple(max(1, blocks // 2) for blocks in plan.n_conv_per_stage_decoder),
    )


def _halve_patch(plan: UNetPlan) -> UNetPlan | None:
    height, width = plan.patch_size
    candidates = [(height // 2, width), (height, width // 2)]
    for patch in candidates if height >= width else reversed(candidates):
        if min(patch) < _MINIMUM_PATCH_EDGE and min(patch) < min(plan.patch_size):
            continue
        shallower: UNetPlan | None = plan
        while shallower is not None and not _divides(shallower, patch):
            shallower = _drop_deepest_stage(shallower)
        if shallower is not None:
            return replace(shallower, patch_size=patch)
    return None


def _divides(plan: UNetPlan, patch: Pair) -> bool:
    """Whether the network halves `patch` without remainder down to a feature map that is large enough."""
    divisors = [math.prod(stride[axis] for stride in plan.strides) for axis in (0, 1)]
    return all(edge % step == 0 and edge // step >= _MINIMUM_EDGE for edge, step in zip(patch, divisors, strict=True))


@dataclass(frozen=True, kw_only=True)
class ShrinkRule:
    """One way to make a plan cheaper."""

    name: str
    apply: Callable[[UNetPlan], UNetPlan | None]
    """The next smaller plan; None where the rule's floor is reached."""
    describe: Callable[[UNetPlan], str]
    """The part of a plan that the rule changes, in words."""


def _width(plan: UNetPlan) -> str:
    return f"base width {plan.features_per_stage[0]}"


def _stages(plan: UNetPlan) -> str:
    return f"{plan.n_stages} stages"


def _blocks(plan: UNetPlan) -> str:
    return f"blocks {'-'.join(map(str, plan.n_conv_per_stage))} / {'-'.join(map(str, plan.n_conv_per_stage_decoder))}"


def _patch(plan: UNetPlan) -> str:
    return f"patch {plan.patch_size[0]}x{plan.patch_size[1]} px in {plan.n_stages} stages"


SHRINK_RULES = (
    ShrinkRule(name="halve-width", apply=_halve_width(8), describe=_width),
    ShrinkRule(name="drop-deepest-stage", apply=_drop_deepest_stage, describe=_stages),
    ShrinkRule(name="fewer-blocks", apply=_fewer_blocks, describe=_blocks),
    ShrinkRule(name="halve-patch", apply=_halve_patch, describe=_patch),
    ShrinkRule(name="halve-width-further", apply=_halve_width(2), describe=_width),
)
"""The rules, in the order in which they are tried."""


def shrink_to_budget(
    plan: UNetPlan,
    budget: Budget,
    *,
    channels: int,
    labels: int,
    training: TrainingLoad | None = None,
    keep_patch: bool = False,
) -> tuple[UNetPlan, list[Decision]]:
    """Shrink `plan` until it meets `budget`, by `SHRINK_RULES` in their order.

    Args:
        plan: where to start.
        budget: the limits.
        channels: bands of an image.
        labels: classes of the segmentation.
        training: needed where the budget limits the minutes of training.
        keep_patch: leave the patch as it is, since somebody chose it.

    Returns:
        The plan that meets the budget, its reasons continued, and the steps that led there (none if it met it already).

    Raises:
        BudgetError: if the smallest plan that the rules reach is still over a limit.
        SettingsError: if the minutes are limited and `training` is missing, or a number is below 1.
    """
    if budget.train_minutes is not None and training is None:
        raise SettingsError("budget train_minutes: got no training load, expected the measured speed of the machine")

    def cost(candidate: UNetPlan) -> PlanCost:
        return plan_cost(candidate, channels=channels, labels=labels, training=training)

    rules = tuple(rule for rule in SHRINK_RULES if not (keep_patch and rule.apply is _halve_patch))
    current, figures, steps = plan, cost(plan), list[Decision]()
    # The second round takes the steps that looked useless by themselves: together they may still help.
    for rule, picky in [(rule, picky) for picky in (True, False) for rule in rules]:
        for smaller in _descend(rule, current):
            over = figures.exceeded(budget)
            cheaper = cost(smaller)
            helps = any(getattr(cheaper, name) < getattr(figures, name) for name in over)
            if not over or (picky and not helps):
                break
            steps.append(_explain(rule, current, smaller, budget=budget, before=figures, after=cheaper))
            current, figures = smaller, cheaper
    over = figures.exceeded(budget)
    if over:
        raise BudgetError(_nothing_fits(over, budget, cost(smallest_plan(plan, rules))))
    return replace(current, reasons=(*plan.reasons, *steps)), steps


def smallest_plan(plan: UNetPlan, rules: Sequence[ShrinkRule] = SHRINK_RULES) -> UNetPlan:
    """Where all rules together end: the smallest plan that shrinking can reach."""
    for rule in rules:
        for smaller in _descend(rule, plan):
            plan = smaller
    return plan


def _descend(rule: ShrinkRule, plan: UNetPlan) -> Iterator[UNetPlan]:
    smaller = rule.apply(plan)
    while smaller is not None:
        yield smaller
        smaller = rule.apply(smaller)


def _explain(
    rule: ShrinkRule, plan: UNetPlan, smaller: UNetPlan, *, budget: Budget, before: PlanCost, after: PlanCost
) -> Decision:
    figures = "; ".join(
        f"{name} {_number(getattr(before, name))} -> {_number(getattr(after, name))} "
        f"(limit {_number(getattr(budget, name))})"
        for name in before.exceeded(budget)
    )
    return Decision(rule.name, f"{rule.describe(plan)} -> {rule.describe(smaller)}, as over budget: {figures}.")


def _nothing_fits(over: tuple[str, ...], budget: Budget, floor: PlanCost) -> str:
    figures = "; ".join(
        f"{name}: got a limit of {_number(getattr(budget, name))}, "
        f"expected at least {_number(getattr(floor, name))}, the smallest figure that shrinking reaches"
        for name in over
    )
    return f"no plan meets the budget. {figures}. Raise the limit, or distil into a smaller student."


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:,.3g}"
