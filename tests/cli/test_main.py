"""The command line itself: finding commands, help, and how mistakes are told."""

from __future__ import annotations

import sys

import pytest

import satsqueeze
from satsqueeze.cli import main as module
from satsqueeze.cli.main import COMMANDS, main

WORDS = [command.words for command in COMMANDS]


def test_without_words_it_lists_every_command(run_main):
    status, out, _ = run_main()
    assert status == 0
    assert all(f"  {' '.join(words)} " in out for words in WORDS)


@pytest.mark.parametrize("word", ["-h", "--help"])
def test_help_is_the_same_list(run_main, word):
    assert run_main(word) == run_main()


def test_version(run_main):
    assert run_main("--version") == (0, f"{satsqueeze.__version__}\n", "")


@pytest.mark.parametrize("words", [("nonsense",), ("data", "nonsense")])
def test_an_unknown_command_is_named_beside_the_known_ones(run_main, words):
    status, out, err = run_main(*words)
    assert (status, out) == (2, "")
    assert err.startswith(f"unknown command: {' '.join(words)}")
    assert "usage: satsqueeze COMMAND" in err


def test_a_group_alone_is_no_unknown_command(run_main):
    status, out, err = run_main("data")
    assert (status, out) == (2, "")
    assert err.startswith("data needs a second word\n")
    assert "  data check " in err


def test_help_of_a_group_lists_its_commands(run_main):
    status, out, err = run_main("zoo", "--help")
    assert (status, err) == (0, "")
    listed = [tuple(line.split()[:2]) for line in out.splitlines() if line.startswith("  ")]
    assert listed == [words for words in WORDS if words[0] == "zoo"]


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_every_command_explains_itself(run_main, words):
    status, out, err = run_main(*words, "--help")
    assert (status, err) == (0, "")
    assert out.startswith(f"usage: satsqueeze {' '.join(words)}")
    undescribed = [line for line in out.splitlines() if line.startswith("  --") and line.rstrip().endswith("-")]
    assert not undescribed


@pytest.mark.parametrize(
    "words", [("train",), ("synth", "--nonsense", "1"), ("synth", "--scenes", "many"), ("squeeze", "x", "--folds", "y")]
)
def test_words_that_cannot_be_read_end_with_status_2(run_main, words):
    status, out, err = run_main(*words)
    assert (status, out) == (2, "")
    assert "error:" in err
    assert "Traceback" not in err


def test_a_mistake_is_told_in_a_sentence(run_main, tmp_path):
    status, out, err = run_main("train", tmp_path)
    assert (status, out) == (2, "")
    assert err.startswith("satsqueeze train: RunError: ")
    assert f"satsqueeze plan {tmp_path} --out" in err
    assert "Traceback" not in err


def test_what_the_system_refuses_is_told_in_a_sentence(run_main, tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied", str(tmp_path))

    monkeypatch.setattr(module, "_run", refuse)
    status, out, err = run_main("data", "check", tmp_path)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert "PermissionError" in err
    assert "check that the path exists and may be read or written" in err


def test_a_missing_dependency_names_the_extra_that_brings_it(run_main, monkeypatch):
    monkeypatch.delitem(sys.modules, "satsqueeze.cli.train", raising=False)
    monkeypatch.setitem(sys.modules, "satsqueeze.learn.stage", None)

    def missing(name):
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr(module, "import_module", missing)
    status, _, err = run_main("train", "x")
    assert status == 2
    assert "pip install 'satsqueeze[train]'" in err


def test_interruption_has_a_status_of_its_own(monkeypatch, run_main):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_run", stop)
    status, _, err = run_main("train", "x")
    assert status == 130
    assert "run the same command again to continue" in err


def test_main_reads_the_process_arguments(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["satsqueeze", "--version"])
    assert main() == 0
    assert capsys.readouterr().out.strip() == satsqueeze.__version__
