"""Cards and metadata of products with something wrong: more than 200 texts, written from a seed.

``expect`` says what may become of one: ``refused``; or ``either``, where the text may still say something that a card
or a product could say, such as after a flipped letter of a description.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import yaml

ODD: tuple[Any, ...] = (None, True, -1, 1e308, 10**400, "", "\0", "{", "(" * 5000, [], {}, [[None]], {"a": {"b": [1]}})


@dataclass(frozen=True, kw_only=True)
class DamagedText:
    """Content of a file."""

    name: str
    content: bytes
    expect: Literal["refused", "either"] = "refused"


def refused(name: str, text: str) -> DamagedText:
    return DamagedText(name=name, content=text.encode("utf-8", "surrogatepass"))


def flips_and_cuts(name: str, content: bytes, count: int, generator: np.random.Generator) -> Iterator[DamagedText]:
    """``count`` times other bytes, and ``count`` times the beginning only."""
    for number in range(count):
        changed = bytearray(content)
        for place in generator.integers(0, len(content), size=int(generator.integers(1, 6))):
            changed[place] = int(generator.integers(0, 256))
        yield DamagedText(name=f"{name} flip{number}", content=bytes(changed), expect="either")
        cut = content[: number * len(content) // count]
        yield DamagedText(name=f"{name} cut{number}", content=cut, expect="either")


def damaged_cards(card: bytes, *, seed: int = 0) -> Iterator[DamagedText]:
    """Every kind of damage to the card of a data set."""
    fields = yaml.safe_load(card)
    laughing = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(9)
    )
    texts = {
        "list": "[1, 2]", "number": "5", "text": "hello", "tabs": "\tname: x\n", "two documents": "a: 1\n---\nb: 2\n",
        "open list": "[" * 250_000, "deep list": "[" * 100 + "]" * 100, "deep object": "{a: " * 5000,
        "deep indent": "".join(f"{' ' * i}a:\n" for i in range(400)), "aliases": laughing,
        "itself": "name: &a [*a]\n",
        "chain": "".join(f"a{i}: &a{i} [{f'*a{i - 1}' if i else ''}]\n" for i in range(900)),
        "no anchor": "name: *nobody\n", "no date": "name: 2024-13-45\n", "no number": "constant_label: 0x_\n",
        "many digits": f"nodata: {'9' * 5000}\n", "sixties": f"nodata: 1:{':'.join(['59'] * 3000)}\n",
        "object": "name: !!python/object/apply:os.system [exit]\n", "binary": 'name: !!binary "abc"\n',
        "no character": 'name: "\\UFFFFFFFF"\n', "half a character": 'name: "\\ud800"\n', "merged": "<<: 5\n",
        "key of a list": "? [a]\n: 1\n", "long": f"name: {'x' * 10**6}\n",
    }  # fmt: skip
    yield from (refused(f"card {name}", text) for name, text in texts.items())
    yield DamagedText(name="card zeros", content=bytes(400))
    yield DamagedText(name="card latin-1", content=b"name: \xe9\n")
    for key in fields:
        for number, value in enumerate(ODD):
            content = yaml.safe_dump({**fields, key: value}, allow_unicode=True).encode()
            yield DamagedText(name=f"card {key} odd{number}", content=content, expect="either")
    changes = {
        "images": ("{a", "{1x}", "{name:(}", "{name:(.*)*x}/*.tif", "{name:(a{99999999999})}", "{name:([a-z]+\\d*)+}"),
        "labels": ("{a", "{other}", "a" * 5000),
        "bands": (["red", "red"], [None], [{"name": "red", "gsd_m": -1, "extra": 1}], 5),
        "label_map": ({0: -5}, {0: 10**30}, {"a": {}}, [1]),
        "classes": ([], [None], "x", [1]),
        "foreground": ([7], "x"),
        "radiometry": ("scale:nan", "nonsense"),
        "scale": (-1.0, float("nan"), "x"),
        "surprise": (1,),
    }
    bare = {key: value for key, value in fields.items() if key not in ("scale", "offset")}
    for key, values in changes.items():
        for number, value in enumerate(values):
            changed = {**(bare if key == "radiometry" else fields), key: value}
            yield refused(f"card {key} wrong{number}", yaml.safe_dump(changed))
    templates, expressions = ("{name:>99999999999}", "{name.__class__}", "{0}", "{absent}"), ("(", "(.*)*x" * 9)
    for key in ("group", "item", "stratum"):
        for number, value in enumerate(templates if key == "item" else templates + expressions):
            yield refused(f"card {key} wrong{number}", yaml.safe_dump({**fields, key: value}))
    yield from flips_and_cuts("card", card, 40, np.random.default_rng(seed))


def damaged_sources() -> Iterator[DamagedText]:
    """Lists of sources that cannot be."""
    wrong: tuple[Any, ...] = (
        [], [5], [{}], {"a": 1}, None, [{"path": "\0"}], [{"path": "x" * 5000}], [{"path": "absent"}],
        [{"path": ".", "role": "x"}], [{"path": ".", "role": []}], [{"path": ".", "weight": -1}],
        [{"path": ".", "weight": 10**300}], [{"path": ".", "weight": float("nan")}], [{"path": ".", "overrides": 5}],
        [{"path": ".", "overrides": {"x": 1}}], [{"path": ".", "card": 5}], [{"path": ".", "card": "../.."}],
        [{"path": ".", "name": "a/b"}], [{"path": "."}, {"path": "."}], [{"path": ".", "surprise": 1}],
    )  # fmt: skip
    for number, value in enumerate(wrong):
        yield refused(f"sources {number}", yaml.safe_dump({"sources": value}))


SAFE = (
    "<Product><PROCESSING_BASELINE>05.10</PROCESSING_BASELINE><BOA_ADD_OFFSET band_id='0'>-1000</BOA_ADD_OFFSET>"
    "<BOA_QUANTIFICATION_VALUE>10000</BOA_QUANTIFICATION_VALUE></Product>"
)


def damaged_safe_metadata(*, seed: int = 0) -> Iterator[DamagedText]:
    """Product metadata of Sentinel-2 that cannot be."""
    entities = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10}">' for i in range(1, 10))
    nan = "<PROCESSING_BASELINE>nan</PROCESSING_BASELINE>"
    texts = {
        "html": "<!DOCTYPE html><html><body>x<br></body></html>", "deep": "<a>" * 20_000,
        "entities": f'<!DOCTYPE a [<!ENTITY e0 "x">{entities}]><a>&e9;</a>',
        "file": '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a><BOA_ADD_OFFSET>&x;</BOA_ADD_OFFSET></a>',
        "no offset": f"<P>{nan}<QUANTIFICATION_VALUE>10000</QUANTIFICATION_VALUE></P>",
        "two": SAFE.replace("</Product>", "<BOA_ADD_OFFSET>0</BOA_ADD_OFFSET></Product>"),
        "NUL": SAFE.replace("P", "\0"),
    }  # fmt: skip
    yield from (refused(f"safe {name}", text) for name, text in texts.items())
    for old in ("-1000", "10000"):
        for value in ("nan", "inf", "-inf", "1e400", "9" * 5000, "x", "-1e300", "1e300", "0x10"):
            yield refused(f"safe {old} {value[:5]}", SAFE.replace(old, value))
    yield from flips_and_cuts("safe", SAFE.encode(), 30, np.random.default_rng(seed))


MTL = (
    "GROUP = L1_METADATA_FILE\n  SUN_ELEVATION = 45.5\n  REFLECTANCE_MULT_BAND_4 = 2.0000E-05\n"
    "  REFLECTANCE_ADD_BAND_4 = -0.100000\nEND_GROUP = L1_METADATA_FILE\nEND\n"
)


def damaged_mtl(*, seed: int = 0) -> Iterator[DamagedText]:
    """Metadata of Landsat that cannot be."""
    generator = np.random.default_rng(seed)
    yield refused("mtl empty", "")
    yield DamagedText(name="mtl noise", content=generator.bytes(5000))
    yield refused("mtl spaces", " " * 50_000)
    for old in ("45.5", "2.0000E-05", "-0.100000"):
        for value in ("nan", "inf", "-inf", "1e400", "9" * 5000, "x", "", "-91", "\0", "{}", "45 46"):
            yield refused(f"mtl {old} {value[:5]}", MTL.replace(old, value))
    yield from flips_and_cuts("mtl", MTL.encode(), 30, generator)


def damaged_items(item: bytes, *, seed: int = 0) -> Iterator[DamagedText]:
    """STAC items that cannot be."""
    text = item.decode()
    texts = {
        "empty": "", "list": "[1]", "deep": "[" * 100_000, "no feature": text.replace('"Feature"', '"Collection"'),
        "assets": '{"type": "Feature", "assets": 5}', "many digits": text.replace("0.0001", "9" * 5000),
        "huge scale": text.replace("0.0001", "1" + "0" * 400), "no scale": text.replace("0.0001", "NaN"),
        "minus": text.replace("0.0001", "-1"), "address": text.replace('"./red.tif"', '"http://[bad"'),
        "elsewhere": text.replace('"./red.tif"', '"https://example.org/red.tif"'),
        "no address": text.replace('"./red.tif"', "null"),
    }  # fmt: skip
    yield from (refused(f"item {name}", content) for name, content in texts.items())
    soft = {
        "roles": text.replace('["data"]', "5"), "nodata": text.replace('"nodata": 0', '"nodata": 1' + "0" * 400),
        "offset": text.replace('"offset": 0.0', '"offset": true'), "bands": text.replace('"common_name"', '"x"'),
        "half a character": text.replace('"an-item"', '"\\ud800"'), "NUL": text.replace("./red", "\\u0000"),
    }  # fmt: skip
    for name, content in soft.items():
        yield DamagedText(name=f"item {name}", content=content.encode(), expect="either")
    yield from flips_and_cuts("item", item, 30, np.random.default_rng(seed))
