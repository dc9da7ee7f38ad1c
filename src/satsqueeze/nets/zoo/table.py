"""The table of classifiers.

Sources: the BigEarthNet benchmark (Papoutsis et al., arXiv 2111.09451), the on-board residual
networks (Le et al., arXiv 2411.00209), and light families of timm. ``vitm20`` is our reading: the
benchmark's ViT at twice the width and 1.5 times the depth.
"""

from __future__ import annotations

from satsqueeze.nets.zoo.card import ZooCard

_BENCHMARK = 120
"""Side of a BigEarthNet image in pixels."""


def _resnet(name: str, blocks: int) -> ZooCard:
    return ZooCard(
        name=name, family="small-resnet", builder="small-resnet", parameters={"blocks": (blocks,) * 3}, smallest=8
    )


def _wide(name: str, **parts: object) -> ZooCard:
    parameters = {"widths": (32, 64, 128), "blocks": (1, 1, 1)} | parts
    return ZooCard(name=name, family="wrn", builder="wide-resnet", parameters=parameters, smallest=8)


def _scaled(phi: int) -> ZooCard:
    return ZooCard(
        name=f"wrn-eca-b{phi}",
        family="wrn-scaled",
        builder="scaled-wide-resnet",
        parameters={"phi": phi, "attention": "eca"},
        smallest=8,
    )


def _timm(name: str, family: str, size: int, *, model: str = "", sized: bool = False) -> ZooCard:
    parameters = {"model": model or name.replace("-", "_"), **({"sized": True} if sized else {})}
    return ZooCard(name=name, family=family, builder="timm", parameters=parameters, size=size)


def _vgg(layers: int) -> ZooCard:
    parameters = {"model": f"vgg{layers}_bn"}
    return ZooCard(name=f"vgg{layers}", family="vgg", builder="vgg", parameters=parameters, size=_BENCHMARK)


def _efficientnet(name: str, step: int, size: int, **changes: object) -> ZooCard:
    parameters = {"model": f"efficientnet_b{step}", **changes}
    return ZooCard(name=name, family="efficientnet", builder="efficientnet", parameters=parameters, size=size)


def _vit(name: str, patch: int, *, width: int = 64, depth: int = 8) -> ZooCard:
    return ZooCard(
        name=name,
        family="vit",
        builder="vision-transformer",
        parameters={"patch": patch, "width": width, "depth": depth, "heads": 4},
        size=_BENCHMARK,
        # Reflection can triple an image's side.
        smallest=max(8, patch // 2),
        fixed=True,
    )


def _mixer(name: str, *, width: int, depth: int, tokens: int, channels: int) -> ZooCard:
    return ZooCard(
        name=name,
        family="mlp-mixer",
        builder="mlp-mixer",
        parameters={"patch": 12, "width": width, "depth": depth, "tokens": tokens, "channels": channels},
        size=_BENCHMARK,
        smallest=8,
        fixed=True,
    )


_CARDS = (
    _resnet("resnet8", 1),
    _resnet("resnet16", 2),
    ZooCard(
        name="texture-10k",
        family="texture",
        builder="texture",
        parameters={"widths": (16, 32, 48)},
        smallest=8,
        averages_views=True,
    ),
    _timm("densenet121", "densenet", _BENCHMARK),
    _timm("densenet169", "densenet", _BENCHMARK),
    _timm("densenet201", "densenet", _BENCHMARK),
    _timm("resnet18", "resnet", 224),
    _timm("resnet34", "resnet", 224),
    _timm("resnet50", "resnet", _BENCHMARK),
    _timm("resnet101", "resnet", _BENCHMARK),
    _timm("resnet152", "resnet", _BENCHMARK),
    _vgg(16),
    _vgg(19),
    _vit("vit6", 6),
    _vit("vit12", 12),
    _vit("vit20", 20),
    _vit("vit30", 30),
    _vit("vit40", 40),
    _vit("vitm20", 20, width=128, depth=12),
    _mixer("mlp-mixer", width=128, depth=4, tokens=64, channels=200),
    _mixer("mixer-tiny", width=64, depth=2, tokens=64, channels=64),
    _wide("wrn"),
    _wide("wrn-eca", attention="eca"),
    _wide("wrn-se", attention="se"),
    _wide("wrn-cbam", attention="cbam"),
    _wide("wrn-coord", attention="coord"),
    _wide("wrn-ghost", ghost=True),
    _wide("wrn-eca-ghost", attention="eca", ghost=True),
    _wide("wrn-se-ghost", attention="se", ghost=True),
    _wide("wrn-cbam-ghost", attention="cbam", ghost=True),
    _wide("wrn-coord-ghost", attention="coord", ghost=True),
    _wide("wrn-eca-released", attention="eca", widths=(56, 116, 232)),
    _scaled(0),
    _scaled(1),
    _scaled(2),
    _scaled(3),
    _scaled(4),
    _scaled(5),
    _scaled(6),
    _scaled(7),
    _efficientnet("efficientnet-b0", 0, 224),
    _efficientnet("efficientnet-b1", 1, 240),
    _efficientnet("efficientnet-b2", 2, 260),
    _efficientnet("efficientnet-b3", 3, 300),
    _efficientnet("efficientnet-b4", 4, 380),
    _efficientnet("efficientnet-b5", 5, 456),
    _efficientnet("efficientnet-b6", 6, 528),
    _efficientnet("efficientnet-b7", 7, 600),
    _efficientnet("efficientnet-b0-ghost", 0, 224, ghost=True),
    _efficientnet("efficientnet-b0-se", 0, 224, attention="se"),
    _efficientnet("efficientnet-b0-se-ghost", 0, 224, attention="se", ghost=True),
    _efficientnet("efficientnet-b0-cbam", 0, 224, attention="cbam"),
    _efficientnet("efficientnet-b0-cbam-ghost", 0, 224, attention="cbam", ghost=True),
    _efficientnet("efficientnet-b0-coord", 0, 224, attention="coord"),
    _efficientnet("efficientnet-b0-coord-ghost", 0, 224, attention="coord", ghost=True),
    _efficientnet("efficientnet-b0-eca", 0, 224, attention="eca"),
    _efficientnet("efficientnet-b0-eca-ghost", 0, 224, attention="eca", ghost=True),
    _efficientnet("efficientnet-b1-eca", 1, 240, attention="eca"),
    _efficientnet("efficientnet-b2-eca", 2, 260, attention="eca"),
    _efficientnet("efficientnet-b3-eca", 3, 300, attention="eca"),
    _efficientnet("efficientnet-b4-eca", 4, 380, attention="eca"),
    _efficientnet("efficientnet-b5-eca", 5, 456, attention="eca"),
    _efficientnet("efficientnet-b6-eca", 6, 528, attention="eca"),
    _efficientnet("efficientnet-b7-eca", 7, 600, attention="eca"),
    _timm("mobilevit-xxs", "mobilevit", 256),
    _timm("mobilevitv2-050", "mobilevit", 256),
    _timm("mobilevitv2-075", "mobilevit", 256),
    _timm("mobilevitv2-100", "mobilevit", 256),
    _timm("efficientvit-m0", "efficientvit", 224, sized=True),
    _timm("efficientvit-m1", "efficientvit", 224, sized=True),
    _timm("efficientvit-m2", "efficientvit", 224, sized=True),
    _timm("efficientvit-m3", "efficientvit", 224, sized=True),
    _timm("efficientvit-m4", "efficientvit", 224, sized=True),
    _timm("efficientvit-m5", "efficientvit", 224, sized=True),
    _timm("mobilenetv2", "mobilenet", 224, model="mobilenetv2_100"),
    _timm("mobilenetv3-small", "mobilenet", 224, model="mobilenetv3_small_100"),
    _timm("mobilenetv3-large", "mobilenet", 224, model="mobilenetv3_large_100"),
    _timm("mobilenetv4-small", "mobilenet", 224, model="mobilenetv4_conv_small"),
    _timm("lcnet-050", "mobilenet", 224),
    _timm("ghostnet", "ghostnet", 224, model="ghostnet_100"),
    _timm("edgenext-xx-small", "edgenext", 256),
    _timm("edgenext-x-small", "edgenext", 256),
    _timm("fastvit-t8", "fastvit", 256),
    _timm("repvit-m0.9", "repvit", 224, model="repvit_m0_9"),
    _timm("starnet-s1", "starnet", 224),
    _timm("convnextv2-atto", "convnext", 224),
    _timm("regnetx-002", "regnet", 224),
    _timm("regnety-002", "regnet", 224),
    _timm("fasternet-t0", "fasternet", 224),
)

ZOO: dict[str, ZooCard] = {card.name: card for card in _CARDS}
"""By name. ``wrn-eca-b0`` is ``wrn-eca``; ``wrn-eca-released`` the one configuration that the benchmark published."""
