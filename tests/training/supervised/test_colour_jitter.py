"""Colour jitter changes what it says, by no more than it says."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest

from seglab.training.supervised.colour_jitter import ColourJitter

STILL = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0}


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(60, 180, (12, 10, 3), np.uint8)


def changed(image: np.ndarray, seed: int, **strengths: float) -> np.ndarray:
    return ColourJitter(**(STILL | strengths))(image, np.random.default_rng(seed))


def test_no_strength_is_no_change(image):
    assert np.array_equal(changed(image, 0), image)


def test_brightness_is_a_factor_within_its_range(image):
    factors = [changed(image, seed, brightness=0.4).mean() / image.mean() for seed in range(20)]
    assert 0.59 < min(factors) < 0.8
    assert 1.2 < max(factors) < 1.41


def test_contrast_keeps_the_mean_grey_and_scales_the_spread(image):
    grey = np.array([0.299, 0.587, 0.114])
    for seed in range(5):
        result = changed(image, seed, contrast=0.4)
        assert (result @ grey).mean() == pytest.approx((image @ grey).mean(), abs=1)
        assert 0.58 < result.std() / image.std() < 1.42


def test_saturation_leaves_grey_grey(image):
    grey = np.repeat(image[..., :1], 3, axis=2)
    assert np.abs(changed(grey, 1, saturation=0.4).astype(int) - grey).max() <= 1
    assert not np.array_equal(changed(image, 1, saturation=0.4), image)


def test_hue_turns_by_no_more_than_a_tenth_of_the_circle_and_keeps_the_value(image):
    for seed in range(10):
        result = changed(image, seed, hue=0.1)
        assert np.abs(result.max(2).astype(int) - image.max(2)).max() <= 1
        before, after = (colorsys.rgb_to_hsv(*(v[4, 4] / 255))[0] for v in (image, result))
        assert min(abs(before - after), 1 - abs(before - after)) <= 0.11


def test_a_seed_is_a_result(image):
    assert np.array_equal(
        ColourJitter()(image, np.random.default_rng(5)), ColourJitter()(image, np.random.default_rng(5))
    )
    assert not np.array_equal(
        ColourJitter()(image, np.random.default_rng(5)), ColourJitter()(image, np.random.default_rng(6))
    )
