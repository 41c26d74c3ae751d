"""Random colours: both windows of a pair change alike, and no image is lost."""

from __future__ import annotations

import pytest
import torch

from seglab.pretrain.colours import recolour

SIZE = 32


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def textured(count: int, level: float, generator: torch.Generator, spread: float = 20.0) -> torch.Tensor:
    return (level + spread * torch.randn(count, SIZE, SIZE, 3, generator=generator)).clamp(0, 255)


def test_both_windows_of_a_pair_change_alike(generator):
    """Each pair shows the same three flat colours, in another place and among other things."""
    rgb = textured(400, 120, generator)
    colours = torch.tensor([[60.0, 110, 160], [160, 90, 60], [110, 140, 90]])
    for i, colour in enumerate(colours):
        rgb[0::2, 10 * i : 10 * i + 10, :12] = colour
        rgb[1::2, 10 * i : 10 * i + 10, 20:] = colour
    rgb[1::2, :, :20] += 40
    out = recolour(rgb, generator)

    def seen(views: torch.Tensor, left: int) -> torch.Tensor:
        # The middle of each patch: at its border, blur mixes colours.
        patches = [views[:, 10 * i + 2 : 10 * i + 8, left + 2 : left + 10].mean((1, 2)) for i in range(3)]
        return torch.stack(patches, 1)

    first, second = seen(out[0::2], 0), seen(out[1::2], 20)
    # What is left are means of noise.
    assert (first - second).abs().max() < 5
    assert (first.std(0) > 15).all()


def test_values_stay_in_range(generator):
    for level in (0.0, 3.0, 120.0, 252.0, 255.0):
        out = recolour(textured(40, level, generator), generator)
        assert out.shape == (40, SIZE, SIZE, 3) and torch.isfinite(out).all()
        assert out.min() >= 0 and out.max() <= 255


def test_no_amount_changes_nothing(generator):
    rgb = textured(20, 120, generator, 60)
    torch.testing.assert_close(recolour(rgb, generator, 0.0), rgb, atol=0.05, rtol=0)


def test_a_smaller_amount_changes_less(generator):
    rgb = textured(200, 120, generator)
    little, much = ((recolour(rgb, generator, amount) - rgb).abs().mean() for amount in (0.3, 1.0))
    assert 1 < little < 0.6 * much


@pytest.mark.parametrize(("level", "spread"), [(6.0, 3.0), (12.0, 6.0), (245.0, 8.0)])
def test_dark_and_bright_images_keep_something_to_see(generator, level, spread):
    """Of windows that are black or white almost everywhere, hardly any becomes so altogether."""
    out = recolour(textured(1000, level, generator, spread), generator).flatten(1)
    lost = (out.std(1) < 0.5) | (((out > 0) & (out < 255)).float().mean(1) < 0.01)
    assert lost.float().mean() < 0.01


def test_the_same_seed_gives_the_same_colours(generator):
    rgb = textured(4, 120, generator)
    first, second = (recolour(rgb, torch.Generator().manual_seed(5)) for _ in range(2))
    torch.testing.assert_close(first, second, rtol=0, atol=0)
