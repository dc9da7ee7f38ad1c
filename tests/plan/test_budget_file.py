"""Budget files."""

from __future__ import annotations

import pytest

from satsqueeze.core.errors import SettingsError
from satsqueeze.plan.budget import Budget
from satsqueeze.plan.budget_file import Budgets, read_budgets


def read(tmp_path, text):
    path = tmp_path / "budget.yaml"
    path.write_text(text)
    return read_budgets(path)


@pytest.mark.parametrize(
    ("text", "budgets"),
    [
        ("parameters: 120000", Budgets(teacher=Budget(parameters=120_000))),
        ("train_minutes: 2.5\nmacs_per_pixel: 900", Budgets(teacher=Budget(train_minutes=2.5, macs_per_pixel=900))),
        ("teacher: {parameters: 9}", Budgets(teacher=Budget(parameters=9))),
        ("student: {activation_bytes: 64000000}", Budgets(student=Budget(activation_bytes=64_000_000))),
        (
            "train_minutes: 3\nteacher: {parameters: 9}\nstudent: {parameters: 4}",
            Budgets(teacher=Budget(train_minutes=3, parameters=9), student=Budget(parameters=4)),
        ),
        ("teacher:\nstudent:\n", Budgets()),
    ],
)
def test_limits_by_network(tmp_path, text, budgets):
    assert read(tmp_path, text) == budgets


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- 3", r"budget.yaml: got \[3\], expected lines such as"),
        ("", r"got None, expected lines such as"),
        ("student: 3", "expected lines such as"),
        ("pixels: 3", "budget.yaml: budget: got pixels, expected only parameters"),
        ("student: {pixels: 3}", "budget.yaml, student: budget: got pixels"),
        ("parameters: -3", "expected a positive number"),
        ("parameters: 3\nteacher: {parameters: 4}", "parameters stands at the top and under teacher:; keep one"),
        ("student: {train_minutes: 3}", "cannot stand under student:"),
        ("{", "cannot read the budget file"),
    ],
)
def test_other_content_is_refused(tmp_path, text, message):
    with pytest.raises(SettingsError, match=message):
        read(tmp_path, text)


def test_an_absent_file_is_refused(tmp_path):
    with pytest.raises(SettingsError, match="cannot read the budget file"):
        read_budgets(tmp_path / "absent.yaml")
