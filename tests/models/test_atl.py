"""The ATL branch computes what METHODS gives for it."""

from __future__ import annotations

import numpy as np
import torch

from seglab.models.adapters.atl import AtlAdapter, high_pass


def test_high_pass_is_the_published_one() -> None:
    image = torch.randn(2, 3, 64, 64)
    spectrum = np.fft.fftshift(np.fft.fft2(image.numpy()), axes=(-2, -1))
    spectrum[..., 16:48, 16:48] = 0  # half of each side: a quarter of the area
    expected = np.abs(np.fft.ifft2(np.fft.ifftshift(spectrum, axes=(-2, -1))).real)
    np.testing.assert_allclose(high_pass(image).numpy(), expected, atol=1e-5)


def test_high_pass_of_a_flat_image_is_nothing() -> None:
    assert high_pass(torch.full((1, 3, 32, 32), 3.0)).abs().max() < 1e-5


def test_branch_and_block_follow_the_formula() -> None:
    torch.manual_seed(0)
    adapter = AtlAdapter(width=64, depth=3, patch=8, adapt_from=1)
    patches, image, tokens = torch.randn(1, 4, 4, 64), torch.randn(1, 3, 32, 32), torch.randn(1, 4, 4, 64)
    branch = adapter.branch(patches, image)
    q = torch.nn.functional.conv2d(high_pass(image), adapter.high_pass.weight, adapter.high_pass.bias, stride=8)
    torch.testing.assert_close(branch, patches @ adapter.embed.weight.T + q.permute(0, 2, 3, 1))
    w = adapter.per_block[1]
    p = torch.nn.functional.gelu(branch @ w.weight.T + w.bias) @ adapter.shared_up.weight.T
    torch.testing.assert_close(adapter.before_block(2, tokens, branch), tokens + p)


def test_start_is_small_but_not_zero() -> None:
    adapter = AtlAdapter(width=768, depth=12, patch=16)
    assert 0.015 < adapter.embed.weight.std() < 0.025
    assert all(layer.bias.abs().sum() == 0 for layer in adapter.per_block)
    assert 0.5 < adapter.high_pass.weight.std() / (2 / (16 * 16 * 24)) ** 0.5 < 1.5
