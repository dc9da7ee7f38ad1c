import numpy as np
import pytest

from satsqueeze.data.synth.noise import (
    Spectrum,
    lattice_hash,
    power_noise,
    quantile_of,
    smoothstep,
    soften,
    stream,
    unit,
)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (37, 50), (128, 96)])
def test_power_noise_is_standardised_and_sized(height: int, width: int) -> None:
    field = power_noise(stream(1, "a"), height, width, Spectrum(exponent=1.7, outer=20))
    assert field.shape == (height, width)
    assert field.dtype == np.float32
    assert field.mean() == pytest.approx(0, abs=1e-4)
    assert field.std() == pytest.approx(1, abs=1e-4)


def test_power_noise_has_the_exponent_asked_for() -> None:
    exponent, size = 1.7, 256
    power = np.zeros((size, size))
    for seed in range(12):
        field = power_noise(stream(seed, "slope"), size, size, Spectrum(exponent=exponent, outer=1e6))
        power += np.abs(np.fft.fft2(field)) ** 2
    k = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size)[None, :])
    inside = (k > 4 / size) & (k < 0.4)
    slope = np.polyfit(np.log(k[inside]), np.log(power[inside]), 1)[0]
    assert slope == pytest.approx(-2 * exponent, abs=0.1)


def test_power_noise_wraps_around() -> None:
    field = power_noise(stream(3, "wrap"), 64, 64, Spectrum(exponent=2.2, outer=30))
    step_inside = np.abs(np.diff(field, axis=1)).mean()
    step_across = np.abs(field[:, 0] - field[:, -1]).mean()
    assert step_across < 2 * step_inside


def test_stretch_lengthens_structures_along_the_angle() -> None:
    field = power_noise(stream(4, "s"), 128, 128, Spectrum(exponent=1.8, outer=20, stretch=6, angle=0.0))
    along, across = np.abs(np.diff(field, axis=1)).mean(), np.abs(np.diff(field, axis=0)).mean()
    assert across > 2 * along


def test_streams_are_independent_and_repeatable() -> None:
    assert stream(1, "a").integers(2**62) == stream(1, "a").integers(2**62)
    assert len({int(stream(seed, name).integers(2**62)) for seed in (1, 2) for name in ("a", "b")}) == 4


def test_smoothstep_closed_form_both_directions() -> None:
    values = np.array([-1, 0, 0.5, 1, 2], dtype=np.float32)
    np.testing.assert_allclose(smoothstep(values, 0, 1), [0, 0, 0.5, 1, 1])
    np.testing.assert_allclose(smoothstep(values, 1, 0), [1, 1, 0.5, 0, 0])


def test_soften_spreads_one_pixel_binomially() -> None:
    spike = np.zeros((5, 5), dtype=np.float32)
    spike[2, 2] = 16
    kernel = np.outer([1, 2, 1], [1, 2, 1])
    np.testing.assert_allclose(soften(spike)[1:4, 1:4], kernel)
    np.testing.assert_allclose(soften(np.full((4, 6), 3, dtype=np.float32), 3), 3, rtol=1e-6)


def test_quantile_of() -> None:
    values = np.arange(100, dtype=np.float32).reshape(10, 10)
    assert quantile_of(values, 0.25) == 25
    assert quantile_of(values, 0.0) < 0
    assert quantile_of(values, 1.0) > 99


def test_lattice_hash_is_uniform_and_depends_on_everything() -> None:
    i, j = (part.astype(np.int32) for part in np.mgrid[-100:100, -100:100])
    values = unit(lattice_hash(i, j, 1))
    assert values.min() >= 0
    assert values.max() < 1
    counts = np.histogram(values, bins=20, range=(0, 1))[0]
    assert np.abs(counts - 2000).max() < 6 * np.sqrt(2000)
    assert np.corrcoef(values.ravel(), unit(lattice_hash(i, j, 2)).ravel())[0, 1] == pytest.approx(0, abs=0.03)
    assert np.corrcoef(values[:, 1:].ravel(), values[:, :-1].ravel())[0, 1] == pytest.approx(0, abs=0.03)
