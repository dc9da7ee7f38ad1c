"""Synthetic scenes: land, relief, clouds with shadows, haze and sensor, with exact labels. Seeded; NumPy only."""

from satsqueeze.data.synth.biomes import BIOMES, Biome
from satsqueeze.data.synth.cloud_decks import CLOUD_KINDS, CloudKind
from satsqueeze.data.synth.clouds import CloudLayer, CloudSettings, composite, generate_clouds
from satsqueeze.data.synth.scene import SceneSettings, SynthScene, generate_scene
from satsqueeze.data.synth.spectra import LAND_COVER
from satsqueeze.data.synth.sun import Sun
from satsqueeze.data.synth.writer import DatasetSettings, card_dict, write_dataset, write_scene

__all__ = [
    "BIOMES",
    "CLOUD_KINDS",
    "LAND_COVER",
    "Biome",
    "CloudKind",
    "CloudLayer",
    "CloudSettings",
    "DatasetSettings",
    "SceneSettings",
    "Sun",
    "SynthScene",
    "card_dict",
    "composite",
    "generate_clouds",
    "generate_scene",
    "write_dataset",
    "write_scene",
]
