"""Write the tables of README.md and docs/ from the result files: ``python scripts/update_tables.py [--check]``."""

from __future__ import annotations

import sys
from pathlib import Path

from satsqueeze.bench.tables import fill_tables, make_tables
from satsqueeze.core.files import write_text

ROOT = Path(__file__).parents[1]


def outdated(root: Path = ROOT) -> dict[Path, str]:
    """Documents whose tables are not those of the result files, with their text as it should be."""
    specification = root / "docs" / "results" / "tables.yaml"
    tables = make_tables(specification) if specification.is_file() else {}
    documents = [root / "README.md", *sorted((root / "docs").rglob("*.md"))]
    texts = {path: path.read_text(encoding="utf-8") for path in documents if path.is_file()}
    filled = {path: fill_tables(text, tables) for path, text in texts.items()}
    return {path: text for path, text in filled.items() if text != texts[path]}


def main(arguments: list[str]) -> int:
    found = outdated()
    for path, text in found.items():
        print(f"{path.relative_to(ROOT)}: tables out of date")
        if "--check" not in arguments:
            write_text(path, text)
    return int(bool(found) and "--check" in arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
