"""Entry point: finds the subcommand, builds its flags from its signature, runs it.

Only the module of the chosen subcommand is imported, so that ``predict`` works where torch is not installed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module

from satsqueeze import __version__
from satsqueeze.cli.flags import parse
from satsqueeze.core.errors import MissingDependencyError, SatsqueezeError


@dataclass(frozen=True)
class Command:
    """A subcommand: the words that call it and the function behind it."""

    words: tuple[str, ...]
    module: str
    function: str
    summary: str


COMMANDS = (
    Command(("demo",), "demo", "demo", "the whole job on generated data, in minutes"),
    Command(("squeeze",), "squeeze", "squeeze", "data set in, flight package and report out; resumable"),
    Command(("predict",), "predict", "predict", "mask an image with a flight package"),
    Command(("evaluate",), "evaluate", "evaluate", "score a flight package on a labelled data set"),
    Command(("robustness",), "robustness", "robustness", "score a flight package on images with something wrong"),
    Command(("package", "verify"), "package", "verify", "refuse a package with any changed byte"),
    Command(("package", "rows"), "package", "rows", "let a package take images in rows: less time and memory"),
    Command(("package", "show"), "package", "show", "what a package is, takes and has been measured at"),
    Command(("data", "list"), "data", "list_cards", "the data sets this version can read"),
    Command(("data", "describe"), "data", "describe", "one data set: bands, classes, licence, how to get it"),
    Command(("data", "check"), "data", "check", "read every file and report every problem"),
    Command(("synth",), "synth", "synth", "generate labelled scenes"),
    Command(("landcover",), "landcover", "landcover", "generate a country at many dates, with exact land cover"),
    Command(("mosaic",), "mosaic", "mosaic", "land cover out of real tiles, with exact labels"),
    Command(("compose",), "compose", "compose", "lay procedural clouds over clear ground, with exact labels"),
    Command(("fingerprint",), "fingerprint", "fingerprint", "pack a data set and take its fingerprint"),
    Command(("plan",), "plan", "command", "plan network and training, every decision with its reason"),
    Command(("pretrain",), "pretrain", "pretrain", "learn dense features from images without labels; resumable"),
    Command(("train",), "train", "train", "train the planned teacher, fold by fold, or one network on a data set"),
    Command(("distill",), "distill", "command", "train the ladder of students from the teacher"),
    Command(("export",), "export", "command", "export, quantise and prove the students as flight packages"),
    Command(
        ("bench", "init-grid"), "starts.grid", "init_grid", "compare starts of training with few labels; resumable"
    ),
    Command(("bench", "init-students"), "starts.students", "init_students", "compare starts of students of many sizes"),
    Command(("bench", "init-ablation"), "starts.ablation", "init_ablation", "vary one thing of pre-training at a time"),
    Command(("bench",), "bench", "command", "measure every model of a run"),
    Command(("report",), "report", "report", "write the HTML report of a run"),
    Command(("crossval",), "crossval", "crossval", "grouped cross-validation of baselines, teacher and students"),
    Command(("zoo", "list"), "zoo.table", "list_models", "the classifiers with what they cost"),
    Command(("zoo", "train"), "zoo.train", "train", "train a classifier on labels of whole images; resumable"),
    Command(("zoo", "bench"), "zoo.bench", "bench", "train and time many classifiers under one budget; resumable"),
    Command(("zoo", "scale"), "zoo.scale", "scale", "search the factors of compound scaling; resumable"),
    Command(("zoo", "plot"), "zoo.plot", "plot", "draw score against cost of the rows of a bench"),
    Command(("zoo", "show"), "zoo.table", "show", "one classifier: how it is built, what it takes and costs"),
    Command(("zoo", "grid"), "zoo.grid", "grid", "compare ways of teaching over students and seeds; resumable"),
    Command(("zoo", "transfer"), "zoo.transfer", "transfer", "start from another data set, with few labels; resumable"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line.

    Returns:
        Exit status: 0 done, 1 done but with problems to report, 2 a mistake that the message explains.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["--version"]:
        print(__version__)
        return 0
    command = _find(words)
    if command is None:
        unknown = words[:2] if words and words[-1] not in ("-h", "--help") else []
        print(_overview(words, unknown), file=sys.stderr if unknown else sys.stdout)
        return 2 if unknown else 0
    try:
        return _run(command, words[len(command.words) :])
    except (SatsqueezeError, MemoryError, OSError) as error:
        print(f"satsqueeze {' '.join(command.words)}: {type(error).__name__}: {_told(error)}", file=sys.stderr)
        return 2
    except SystemExit as stop:  # of the parser, which has said what it has to say
        return stop.code if isinstance(stop.code, int) else 2
    except KeyboardInterrupt:
        print("stopped; run the same command again to continue", file=sys.stderr)
        return 130


def _told(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return f"{error}; memory ran out, ask for less at once"
    if isinstance(error, OSError) and not isinstance(error, SatsqueezeError):
        return f"{error}; check that the path exists and may be read or written"
    return str(error)


def _find(words: Sequence[str]) -> Command | None:
    return next((c for c in COMMANDS if tuple(words[: len(c.words)]) == c.words), None)


def _run(command: Command, arguments: list[str]) -> int:
    try:
        function = getattr(import_module(f"satsqueeze.cli.{command.module}"), command.function)
    except ModuleNotFoundError as error:
        if error.name and not error.name.startswith("satsqueeze"):
            raise MissingDependencyError(error.name, "train") from error
        raise
    keywords = parse(function, arguments, prog=f"satsqueeze {' '.join(command.words)}")
    try:
        return int(function(**keywords) or 0)
    except BrokenPipeError:  # the reader of our output, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _overview(words: Sequence[str], unknown: Sequence[str]) -> str:
    """All commands, or those that share the first word."""
    shown = [c for c in COMMANDS if len(c.words) > 1 and c.words[:1] == tuple(words[:1])] or COMMANDS
    group_alone = shown is not COMMANDS and len(words) == 1
    problem = f"{words[0]} needs a second word" if group_alone else f"unknown command: {' '.join(unknown)}"
    told = f"{problem}\n\n" if unknown else ""
    width = max(len(" ".join(c.words)) for c in shown)
    lines = [f"  {' '.join(c.words):<{width}}  {c.summary}" for c in shown]
    return (
        f"{told}satsqueeze {__version__}: train big on the ground, fly small\n\n"
        "usage: satsqueeze COMMAND [--help] ...\n\n" + "\n".join(lines)
    )


if __name__ == "__main__":
    sys.exit(main())
