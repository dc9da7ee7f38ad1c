"""Path patterns of dataset cards: globs whose parts have names, so that images, bands and labels can be joined."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from satsqueeze.core.errors import CardError

_IDENTIFIER = re.compile(r"[a-z_][a-z0-9_]*\Z")


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
            CardError: unbalanced braces, or an expression that cannot be compiled.
        """
        seen: set[str] = set()
        parts: list[str] = []
        rest = self.text
        while rest:
            part, rest = self._part(rest, seen)
            parts.append(part)
        try:
            return re.compile("".join(parts), re.IGNORECASE)
        except re.error as error:
            raise CardError(f"the pattern {self.text!r} cannot be compiled: {error}; correct it in the card") from error

    @property
    def names(self) -> frozenset[str]:
        """Names that a match captures."""
        return frozenset(self.regex.groupindex)

    def match(self, path: str) -> dict[str, str] | None:
        """Captured texts of ``path``, or None where it does not match."""
        found = self.regex.fullmatch(path)
        return None if found is None else found.groupdict(default="")

    def _part(self, text: str, seen: set[str]) -> tuple[str, str]:
        if text.startswith("**/"):
            return "(?:.*/)?", text[3:]
        if text.startswith("*"):
            return "[^/]*", text[1:]
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
        CardError: a name that the pattern does not capture.
    """
    try:
        return template.format_map(dict(captured))
    except (KeyError, ValueError, IndexError) as error:
        raise CardError(
            f"the template {template!r} needs names that the image pattern captures ({', '.join(sorted(captured))}); "
            f"got {error}"
        ) from error


def join_key(captured: Mapping[str, str], names: Sequence[str]) -> tuple[str, ...]:
    """Values of ``names``, case-folded, by which files of one item find one another."""
    return tuple(captured[name].casefold() for name in names)
