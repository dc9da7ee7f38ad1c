"""YAML as people write it."""

from __future__ import annotations

from typing import Any

import yaml
from yaml.constructor import ConstructorError
from yaml.nodes import MappingNode, ScalarNode

_MERGE = "tag:yaml.org,2002:merge"


class _UniqueKeys(yaml.SafeLoader):  # type: ignore[misc]
    """Plain values only, and no key twice in a mapping, of which the YAML 1.2 specification (3.2.1.1) allows none."""

    def compose_mapping_node(self, anchor: Any) -> MappingNode:
        """As written, before ``<<`` merges others: merged keys may stand beside those that overrule them."""
        node: MappingNode = super().compose_mapping_node(anchor)
        seen: set[object] = set()
        for key, _ in node.value:
            if isinstance(key, ScalarNode) and key.tag != _MERGE:
                # 1 and 01 are one key, 1 and '1' are two.
                value = self.construct_object(key)
                if (type(value), value) in seen:
                    raise ConstructorError(
                        "while reading a mapping",
                        node.start_mark,
                        f"the key {key.value!r} stands twice",
                        key.start_mark,
                    )
                seen.add((type(value), value))
        return node


def parse_yaml(text: str | bytes) -> Any:
    """What a YAML text says: mappings, lists, text, numbers, booleans and None.

    Raises:
        yaml.YAMLError: malformed, a tag of another kind, or a key that stands twice in a mapping.
    """
    return yaml.load(text, Loader=_UniqueKeys)  # noqa: S506 - a SafeLoader
