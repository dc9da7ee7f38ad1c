"""What every model promises, whatever is inside."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from satsqueeze.core.errors import BandError, GridError
from satsqueeze.nets.baselines import SmpUNetConfig
from satsqueeze.nets.cost import cost
from satsqueeze.nets.model import build_model, load_model, save_model
from satsqueeze.nets.receptive import receptive_field
from satsqueeze.nets.students import STUDENTS
from satsqueeze.nets.unet_config import UNetConfig


def _small(**changes):
    base = UNetConfig(
        in_channels=4,
        classes=3,
        features=(4, 8, 8),
        strides=(1, 2, 2),
        convs_encoder=(2, 2, 2),
        convs_decoder=(2, 2),
    )
    return replace(base, **changes)


CONFIGS = {
    **{name: ("unet", card.config) for name, card in STUDENTS.items()},
    "smp-unet-resnet34": ("smp-unet-resnet34", SmpUNetConfig(in_channels=4, classes=2)),
    "plain": ("unet", _small(deep_supervision=True)),
    "residual": ("unet", _small(encoder="residual", convs_encoder=(1, 2, 2), deep_supervision=True)),
    "oblong": ("unet", _small(strides=(1, (2, 1), 2), kernels=(3, (1, 3), 5), deep_supervision=True)),
    "separable": ("unet", _small(norm="batch", separable=True, downsample="maxpool")),
    "stem 2": ("unet", _small(norm="batch", stem=2, skip="add", upsample="nearest")),
    "stem 2, residual": ("unet", _small(norm="batch", stem=2, encoder="residual", detail=3)),
    "stem 4 in two steps": ("unet", _small(norm="batch", activation="relu", stem=4, stem_width=5)),
    "stem 4, detail": ("unet", _small(norm="batch", activation="relu", stem=4, detail=4)),
}
CHANNELS = (1, 3, 4, 10, 13)


@pytest.mark.parametrize("name", CONFIGS)
class TestContract:
    @pytest.fixture
    def config(self, name):
        return CONFIGS[name][1]

    @pytest.fixture
    def model(self, name, config, model_of):
        return model_of(config, family=CONFIGS[name][0])

    @pytest.fixture
    def image(self, config):
        return _image(config)

    def test_forward_and_backward(self, model, config, image):
        model.train()
        outputs = model(image)
        if not getattr(config, "deep_supervision", False):
            outputs = [outputs]
        assert tuple(outputs[0].shape) == (2, config.classes, *image.shape[2:])
        sum(output.float().square().mean() for output in outputs).backward()
        # Behind a norm, the gradient of a convolution's bias is zero but for rounding; that of every weight is not.
        for path, parameter in model.named_parameters():
            assert parameter.grad is not None, path
            assert torch.isfinite(parameter.grad).all(), path

    def test_evaluation_is_deterministic_and_has_one_output(self, model, config, image):
        model.eval()
        with torch.no_grad():
            first, second = model(image), model(image)
        assert torch.equal(first, second)
        assert tuple(first.shape) == (2, config.classes, *image.shape[2:])
        assert first.dtype == torch.float32
        assert first.std() > 0

    def test_any_number_of_bands(self, name, config, model_of):
        # One per config, so that the table is walked through without every combination.
        bands = CHANNELS[list(CONFIGS).index(name) % len(CHANNELS)]
        changed = replace(config, in_channels=bands)
        model = model_of(changed, family=CONFIGS[name][0]).eval()
        with torch.no_grad():
            assert torch.isfinite(model(_image(changed))).all()

    def test_odd_sizes_are_refused_with_the_size_to_pad_to(self, model, config):
        multiple = model.size_multiple
        odd = torch.rand(1, config.in_channels, 2 * multiple, 2 * multiple + 1)
        with pytest.raises(GridError, match=f"multiples of {multiple} px.*pad to {2 * multiple} x {3 * multiple}"):
            model(odd)

    def test_other_band_counts_are_refused(self, model, config):
        multiple = model.size_multiple
        with pytest.raises(BandError, match=f"{config.in_channels}, H, W"):
            model.net(torch.rand(1, config.in_channels + 1, 2 * multiple, 2 * multiple))

    def test_saving_and_loading_keep_every_bit(self, model, image, tmp_path):
        save_model(model, tmp_path)
        loaded = load_model(tmp_path)
        assert loaded.card == model.card
        assert not loaded.training
        with torch.no_grad():
            assert torch.equal(loaded(image), model.eval()(image))

    def test_a_seed_fixes_the_weights_and_leaves_the_generator_alone(self, model):
        state = torch.get_rng_state()
        again, other = build_model(model.card, 0), build_model(model.card, 1)
        assert torch.equal(torch.get_rng_state(), state)
        pairs = list(zip(model.state_dict().values(), again.state_dict().values(), strict=True))
        assert all(torch.equal(first, second) for first, second in pairs)
        assert any(not torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))

    def test_cost_scales_with_the_area(self, model):
        multiple = model.size_multiple
        one = cost(model, height=2 * multiple, width=2 * multiple)
        four = cost(model, height=4 * multiple, width=4 * multiple)
        assert four.macs == 4 * one.macs
        assert four.peak_activation_bytes == 4 * one.peak_activation_bytes
        assert four.macs_per_pixel == one.macs_per_pixel
        assert one.parameters == sum(p.numel() for p in model.parameters())

    def test_the_receptive_field_is_where_gradients_come_from(self, name, model):
        twin = _first_of_this_layout(name)
        if twin != name:
            pytest.skip(f"{twin} differs in widths only")
        if name == "smp-unet-resnet34":
            pytest.skip("tested at one end of its cells in test_baselines.py")
        assert _farthest_gradient(model) == receptive_field(model)


def _first_of_this_layout(name):
    def layout(config):
        return replace(config, features=(1,) * len(config.features)) if isinstance(config, UNetConfig) else config

    return next(other for other in CONFIGS if layout(CONFIGS[other][1]) == layout(CONFIGS[name][1]))


def _image(config):
    height, width = 2 * config.size_multiple, 3 * config.size_multiple
    generator = torch.Generator().manual_seed(1)
    return torch.rand(2, config.in_channels, height, width, generator=generator)


def _farthest_gradient(model):
    """Farthest input pixel, on any side, with a gradient from one output pixel, over all positions in a cell."""
    _make_linear_and_positive(model)
    multiple, reach = model.size_multiple, receptive_field(model)
    margin = -(-(reach + 1) // multiple) * multiple
    size = 2 * margin + multiple
    farthest = 0
    for axis in (2, 3):
        shape = [1, len(model.card.bands), multiple, multiple]
        shape[axis] = size
        for offset in range(multiple):
            image = torch.full(shape, 0.5, requires_grad=True)
            position = margin + offset
            model(image).select(axis, position).sum().backward()
            seen = image.grad.abs().sum(dim=[d for d in range(4) if d != axis]).nonzero().flatten()
            farthest = max(farthest, position - int(seen.min()), int(seen.max()) - position)
    return farthest


def _make_linear_and_positive(model):
    """Let every path through the network carry signal, so that no gradient vanishes or cancels."""
    for parent in list(model.modules()):
        for child_name, child in parent.named_children():
            if isinstance(child, torch.nn.InstanceNorm2d | torch.nn.BatchNorm2d | torch.nn.ReLU | torch.nn.LeakyReLU):
                setattr(parent, child_name, torch.nn.Identity())
            elif isinstance(child, torch.nn.MaxPool2d):
                setattr(parent, child_name, torch.nn.AvgPool2d(child.kernel_size, child.stride, child.padding))
    model.double().eval()
    for parameter in model.parameters():
        torch.nn.init.constant_(parameter, 1.0 / max(1, parameter[0].numel()))
