"""Path patterns of dataset cards: globs whose parts have names, so that images, bands and labels can be joined."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from string import Formatter

from satsqueeze.core.errors import CardError

_IDENTIFIER = re.compile(r"[a-z_][a-z0-9_]*\Z")
_LONGEST = 2000
"""Characters of an expression."""
_ATOM = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|.", re.DOTALL)
_UNBOUNDED = re.compile(r"[*+]|\{\d*,\d*\}")
_OFTEN = re.compile(r"[*+]|\{\d*,(?:\d{2,})?\}")
_PREFIX = re.compile(r"\?(?:P<\w+>|<?[=!]|:)")


@dataclass(frozen=True)
class PathPattern:
    """A pattern over whole paths with ``/`` separators; upper and lower case are alike.

    ``{above}`` matches any leading folders and ``**/`` too, without a name; ``{name}`` matches one or more
    characters within a folder or file name; ``{name:regex}`` what the expression says; ``{_:regex}`` the same without
    a name; ``*`` anything within one name. A repeated ``{name}`` must match the same text. ``.tif`` matches ``.tiff``.
    """

    text: str
    tokens: tuple[str, ...] = ()
    """What ``{band}`` may be; empty for anything."""

    @cached_property
    def regex(self) -> re.Pattern[str]:
        """The compiled expression.

        Raises:
            CardError: unbalanced braces, or an expression that cannot be compiled; see :func:`compiled`.
        """
        seen: set[str] = set()
        parts: list[str] = []
        rest = self.text
        while rest:
            part, rest = self._part(rest, seen)
            parts.append(part)
        try:
            return compiled("".join(parts), re.IGNORECASE)
        except CardError as error:
            raise CardError(f"the pattern {self.text[:200]!r} cannot be used: {error}") from error

    @property
    def names(self) -> frozenset[str]:
        """Names that a match captures."""
        return frozenset(self.regex.groupindex)

    def match(self, path: str) -> dict[str, str] | None:
        """Captured texts of ``path``, or None where it does not match."""
        found = self.regex.fullmatch(path)
        return None if found is None else found.groupdict(default="")

    def _part(self, text: str, seen: set[str]) -> tuple[str, str]:
        # Wildcards in a row mean what one means, and would be tried in all combinations.
        if text.startswith("**/"):
            while text.startswith("**/"):
                text = text[3:]
            return "(?:.*/)?", text
        if text.startswith("*"):
            return "[^/]*", text.lstrip("*")
        if text.startswith("{"):
            inner, rest = _balanced(text, self.text)
            return self._group(inner, seen), rest
        if text == ".tif":
            return r"\.tiff?", ""
        return re.escape(text[0]), text[1:]

    def _group(self, inner: str, seen: set[str]) -> str:
        name, _, expression = inner.partition(":")
        if not _IDENTIFIER.match(name):
            raise CardError(f"the pattern {self.text!r} has a part {{{inner}}}; expected {{name}} or {{name:regex}}")
        if name == "_":
            return f"(?:{expression or '[^/]+'})"
        if name in seen:
            return f"(?P={name})"
        seen.add(name)
        if name == "above":
            return "(?P<above>(?:.*/)?)"
        if name == "band" and self.tokens:
            expression = "|".join(re.escape(token) for token in sorted(self.tokens, key=len, reverse=True))
        return f"(?P<{name}>{expression or '[^/]+'})"


@lru_cache(maxsize=256)
def compiled(expression: str, flags: int = 0) -> re.Pattern[str]:
    """An expression of a card, compiled with the flags of :mod:`re`.

    Raises:
        CardError: it cannot be compiled, or it repeats a repetition, or a choice of things that may begin alike, as
            ``(a+)+`` and ``(a|a)*`` do: that may take forever.
    """
    shown = repr(expression[:80])
    if len(expression) > _LONGEST:
        raise CardError(f"the expression {shown}... has {len(expression)} characters, at most {_LONGEST} are read")
    if _repeats_a_repetition(expression):
        raise CardError(
            f"the expression {shown} repeats a repetition, or a choice of things that begin alike, which may take "
            "forever; repeat one thing only"
        )
    try:
        return re.compile(expression, flags)
    except (re.error, OverflowError, RecursionError) as error:
        raise CardError(f"the expression {shown} cannot be compiled: {error}; correct it in the card") from error


@dataclass
class _Group:
    """What an open group has held so far."""

    repeats: bool = False
    firsts: list[str] = field(default_factory=lambda: [""])
    """What each alternative begins with; empty where it has not begun."""

    def begin(self, atom: str) -> None:
        """Take in what may begin an alternative."""
        self.firsts[-1] = self.firsts[-1] or atom

    @property
    def is_ambiguous(self) -> bool:
        """Whether two alternatives may begin alike, so that what one has read the other may read again."""
        plain = all(re.fullmatch(r"[\w-]", first) for first in self.firsts)
        return len(self.firsts) > 1 and not (plain and len(set(self.firsts)) == len(self.firsts))


def _repeats_a_repetition(expression: str) -> bool:
    """Whether a group that holds a repetition of any length, or an ambiguous choice, is itself repeated often."""
    open_groups = [_Group()]
    position = 0
    while position < len(expression):
        atom = _ATOM.match(expression, position)
        text = atom[0] if atom else expression[position]
        position += len(text)
        closed = _Group()
        if text == "(":
            open_groups[-1].begin(text)
            open_groups.append(_Group())
            prefix = _PREFIX.match(expression, position)
            position = prefix.end() if prefix else position
            continue
        if text == "|":
            open_groups[-1].firsts.append("")
            continue
        if text == ")" and len(open_groups) > 1:
            closed = open_groups.pop()
        open_groups[-1].begin(text)
        repeat, often = _UNBOUNDED.match(expression, position), _OFTEN.match(expression, position)
        if (repeat and closed.repeats) or (often and closed.is_ambiguous):
            return True
        if repeat:
            position = repeat.end()
        open_groups[-1].repeats |= closed.repeats or repeat is not None
    return False


def _balanced(text: str, whole: str) -> tuple[str, str]:
    depth = 0
    for position, character in enumerate(text):
        depth += (character == "{") - (character == "}")
        if depth == 0:
            return text[1:position], text[position + 1 :]
    raise CardError(f"the pattern {whole!r} has an opening brace without its closing one")


def anywhere(text: str) -> str:
    """``text`` so that it may begin in any folder, whose path it then captures as ``above``."""
    return text if text.startswith(("{above}", "**/")) else "{above}" + text


def fill(template: str, captured: Mapping[str, str]) -> str:
    """``template`` with each ``{name}`` replaced by what an image pattern captured.

    Raises:
        CardError: a name that the pattern does not capture, or more than a name.
    """
    try:
        parts = list(Formatter().parse(template))
        if any(name is not None and (form or kind or not _IDENTIFIER.match(name)) for _, name, form, kind in parts):
            raise ValueError("a part that is no {name}")
        return template.format_map(dict(captured))
    except (KeyError, ValueError, IndexError) as error:
        raise CardError(
            f"the template {template!r} needs names that the image pattern captures ({', '.join(sorted(captured))}); "
            f"got {error}"
        ) from error


def join_key(captured: Mapping[str, str], names: Sequence[str]) -> tuple[str, ...]:
    """Values of ``names``, case-folded, by which files of one item find one another."""
    return tuple(captured[name].casefold() for name in names)
