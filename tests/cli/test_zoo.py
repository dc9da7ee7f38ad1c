"""``satsqueeze zoo``: the table of classifiers on the terminal and as JSON."""

from __future__ import annotations

import json

import pytest

from satsqueeze.nets import zoo


@pytest.fixture
def few(monkeypatch):
    """A zoo of three, since the whole list takes seconds."""
    monkeypatch.setattr(zoo, "ZOO", {name: zoo.ZOO[name] for name in ("resnet8", "vit6", "densenet121")})


def test_the_list_states_what_it_counts_and_for_what(run_main, few):
    status, out, err = run_main("zoo", "list")
    assert (status, err) == (0, "")
    title, header, *rows = out.splitlines()
    assert title == "3 networks for 3 bands and 10 classes; MACs, activations at 64 x 64 px"
    assert header.split() == ["name", "family", "parameters", "MACs", "activations"]
    assert rows[0].split() == ["resnet8", "small-resnet", "103,642", "58.4", "M", "0.79", "MB"]
    assert [row.split()[0] for row in rows] == ["resnet8", "vit6", "densenet121"]


def test_networks_that_cannot_take_the_size_stay_in_the_list(run_main, few):
    status, out, _ = run_main("zoo", "list", "--json", "--bands", "4", "--classes", "2", "--size", "16")
    small, patches, large = json.loads(out)
    assert status == 0
    # One more band for 16 kernels of 3 x 3, and 8 classes less on 576 features.
    assert small["parameters"] == 103_642 + 16 * 9 - 8 * 577
    assert (small["in_channels"], small["classes"], small["size"]) == (4, 2, 16)
    assert small["macs"] > 0
    assert small["peak_activation_bytes"] > 0
    assert patches["family"] == "vit"
    assert large["refused"] == "densenet121 takes images of at least 32 x 32 px; got 16 x 16"
    assert "takes images of at least 32 x 32 px" in run_main("zoo", "list", "--size", "16")[1]


def test_showing_one_network(run_main):
    status, out, _ = run_main("zoo", "show", "mixer-tiny")
    record = json.loads(out)
    assert status == 0
    assert record["card"]["parameters"]["patch"] == 12
    assert record["takes"] == "square images of at least 8 x 8 px"
    assert (record["cost"]["size"], record["cost"]["in_channels"]) == (120, 3)
    assert json.loads(run_main("zoo", "show", "mixer-tiny", "--size", "24")[1])["cost"]["size"] == 24


def test_mistakes_are_explained(run_main):
    status, out, err = run_main("zoo", "show", "resnet-8")
    assert (status, out) == (2, "")
    assert "did you mean resnet8" in err
    assert run_main("zoo", "show", "vit6", "--size", "4")[2].endswith(
        "takes square images of at least 8 x 8 px; got 4 x 4\n"
    )
