from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from satsqueeze.core.errors import RunError
from satsqueeze.core.files import sha256
from satsqueeze.nets.model import load_model, save_model
from satsqueeze.nets.receptive import receptive_field
from satsqueeze.nets.students import lite_student, plain_student


@pytest.fixture
def saved(model_of, tmp_path):
    save_model(model_of(plain_student(2, 3)), tmp_path)
    return tmp_path


def test_dataset_normalisation_is_that_of_the_scaling(model_of):
    model = model_of(plain_student(2, 3))
    reflectance = np.random.default_rng(0).uniform(-1, 4, (2, 4, 8, 8)).astype(np.float32)
    expected = np.stack([model.card.scaling.apply(image) for image in reflectance])
    np.testing.assert_array_equal(model.normalise(torch.from_numpy(reflectance)).numpy(), expected)


def test_image_normalisation_is_the_score_over_pixels_that_are_seen(model_of):
    model = model_of(plain_student(2, 3), normalisation="image")
    reflectance = np.random.default_rng(0).uniform(0.1, 1, (2, 4, 8, 8)).astype(np.float32)
    reflectance[0, :, :3] = 0
    reflectance[1, 1] = 0
    found = model.normalise(torch.from_numpy(reflectance)).numpy()
    for image, result in zip(reflectance.astype(np.float64), found, strict=True):
        seen = (image != 0).any(axis=0)
        for band, values in zip(image, result, strict=True):
            pixels = band[seen]
            expected = (pixels - pixels.mean()) / max(pixels.std(), 1e-8)
            np.testing.assert_allclose(values[seen], expected, atol=1e-4)
            assert not values[~seen].any()
    assert not model.normalise(torch.zeros(1, 4, 8, 8)).any()


@pytest.mark.parametrize("side", [8, 100, 300])
def test_a_band_that_does_not_vary_is_zero_per_image(model_of, side):
    """Its mean is rounded, so that it is off by as much as its standard deviation: that would be plus or minus one."""
    model = model_of(plain_student(2, 3), normalisation="image")
    reflectance = torch.rand(2, 4, side, side, generator=torch.Generator().manual_seed(0)) + 0.1
    reflectance[0, 1], reflectance[1, 1], reflectance[1, 3] = 0.3, 0.7, 1.1
    reflectance[:, :, :2] = 0
    found = model.normalise(reflectance)
    assert not found[0, 1].any()
    assert not found[1, 1].any()
    assert not found[1, 3].any()
    assert found[0, 3, 2:].std() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize(
    ("config", "normalisation", "invariant"),
    [(plain_student(2, 3), "dataset", True), (plain_student(2, 3), "image", False), (None, "dataset", False)],
)
def test_window_invariance(model_of, planned, config, normalisation, invariant):
    """Two windows of one scene agree in their inner overlap exactly where the property says so."""
    config = config or planned(3, base=2, deep_supervision=False)
    model = model_of(config, normalisation=normalisation).eval()
    assert model.window_invariant is invariant
    scene = torch.rand(1, 4, 64, 160) * torch.linspace(0.2, 1, 160)
    reach = receptive_field(model)
    assert reach <= 24
    with torch.no_grad():
        left, right = model(scene[..., :112]), model(scene[..., 32:])
    inner = slice(32 + 24, 112 - 24)
    assert torch.allclose(left[..., inner], right[..., inner.start - 32 : inner.stop - 32], atol=1e-5) is invariant


def test_the_scaling_lives_in_the_card_only(model_of):
    assert not {"mean", "std"} & set(model_of(plain_student(2, 3)).state_dict())


def test_saving_leaves_two_files_and_nothing_else(saved):
    assert sorted(path.name for path in saved.iterdir()) == ["model.json", "weights.safetensors"]


def test_an_absent_card_or_absent_weights(saved):
    (saved / "weights.safetensors").unlink()
    with pytest.raises(RunError, match=r"weights.safetensors does not exist"):
        load_model(saved)
    with pytest.raises(RunError, match=r"model.json does not exist"):
        load_model(saved / "nowhere")


def test_changed_weights(saved):
    path = saved / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(RunError, match="is not the file"):
        load_model(saved)


def _rewrite(folder, **changes):
    path = folder / "model.json"
    record = json.loads(path.read_text())
    record.update(changes)
    path.write_text(json.dumps(record))
    return record


def test_weights_that_are_not_safetensors(saved):
    path = saved / "weights.safetensors"
    path.write_bytes(b"not tensors at all")
    _rewrite(saved, weights_sha256=sha256(path))
    with pytest.raises(RunError, match="not readable"):
        load_model(saved)


def test_another_version(saved):
    _rewrite(saved, format_version=99)
    with pytest.raises(RunError, match="format 99"):
        load_model(saved)


@pytest.mark.parametrize("change", ["family", "config", "no bands", "no hash", "bands"])
def test_a_card_that_describes_no_model(saved, change):
    record = json.loads((saved / "model.json").read_text())
    if change == "family":
        record["card"]["family"] = "transformer"
    elif change == "config":
        record["card"]["config"]["stem"] = 5
    elif change == "no bands":
        del record["card"]["bands"]
    elif change == "bands":
        record["card"]["bands"] = ["blue"]
    else:
        del record["weights_sha256"]
    (saved / "model.json").write_text(json.dumps(record))
    with pytest.raises(RunError, match="does not describe a model"):
        load_model(saved)


def test_weights_of_another_network(saved, model_of):
    card = model_of(plain_student(3, 3)).card
    _rewrite(saved, card=card.to_dict())
    with pytest.raises(RunError, match=r"tensors differ, the first being net\."):
        load_model(saved)


def test_a_missing_tensor_is_named(saved):
    path = saved / "weights.safetensors"
    state = load_file(path)
    name = sorted(state)[3]
    del state[name]
    save_file(state, path)
    _rewrite(saved, weights_sha256=sha256(path))
    with pytest.raises(RunError, match=f"1 tensors differ.*{name}.*got none"):
        load_model(saved)


@pytest.mark.parametrize("config", [lite_student(2), plain_student(2, 2)], ids=["lite", "unet"])
def test_export_takes_any_batch_and_size(model_of, config):
    model = model_of(config).eval()
    step = model.size_multiple
    rows, columns = (torch.export.Dim(name, min=1, max=512) for name in ("rows", "columns"))
    program = torch.export.export(
        model,
        (torch.rand(2, 4, 2 * step, 3 * step),),
        dynamic_shapes=({0: torch.export.Dim("batch"), 2: step * rows, 3: step * columns},),
    )
    image = torch.rand(1, 4, 5 * step, 4 * step)
    with torch.no_grad():
        torch.testing.assert_close(program.module()(image), model(image))


@pytest.mark.parametrize("normalisation", ["dataset", "image"])
@pytest.mark.parametrize("config", [lite_student(2), plain_student(2, 2)], ids=["lite", "unet"])
def test_compilers_see_one_graph(model_of, config, normalisation):
    """Traced whole and run as it is: no code generation, which takes a compiler and its time."""
    model = model_of(config, normalisation=normalisation).eval()
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    image = torch.rand(1, 4, 32, 32)
    with torch.no_grad():
        assert torch.equal(compiled(image), model(image))
