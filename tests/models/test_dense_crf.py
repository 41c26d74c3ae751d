"""The dense CRF: its filter beside the sum over all pairs, and what it does to a noisy map."""

from __future__ import annotations

import pytest
import torch

from seglab.models.dense_crf import CrfSettings, Lattice, dense_crf


@pytest.mark.parametrize(("dims", "spread", "error"), [(2, 1.5, 0.01), (3, 1.5, 0.02), (5, 0.7, 0.03)])
def test_the_filter_is_about_a_gaussian(dims: int, spread: float, error: float) -> None:
    """Where points lie close enough; between few in five dimensions, vertices are missing that would pass on."""
    generator = torch.Generator().manual_seed(dims)
    points = torch.randn(2000, dims, generator=generator) * spread
    values = torch.rand(2000, 3, generator=generator)
    kernel = torch.exp(-0.5 * torch.cdist(points, points) ** 2)
    scale = kernel.sum(1, keepdim=True).rsqrt()
    exact = kernel @ (values * scale) * scale
    found = Lattice(points).filter(values)
    assert (found - exact).abs().mean() < error * exact.mean()
    assert torch.corrcoef(torch.stack([found.flatten(), exact.flatten()]))[0, 1] > 0.99


def test_what_one_point_gives_another_it_gets_back() -> None:
    points = torch.randn(80, 3, generator=torch.Generator().manual_seed(1))
    matrix = Lattice(points).filter(torch.eye(80))
    assert (matrix - matrix.T).abs().max() < 0.1 * matrix.max()  # blurring axis after axis, where vertices are missing
    assert (matrix >= 0).all() and (matrix.diagonal() > 0).all()


def test_points_far_apart_do_not_see_each_other() -> None:
    found = Lattice(torch.tensor([[0.0, 0.0], [100.0, 0.0]])).filter(torch.eye(2))
    assert torch.allclose(found, torch.eye(2), atol=1e-5)


def test_a_noisy_map_follows_the_edges_of_the_image() -> None:
    generator = torch.Generator().manual_seed(4)
    left = torch.arange(48) < 20
    rgb = torch.where(left[None, :, None], torch.tensor([40, 90, 30]), torch.tensor([170, 160, 150])).expand(40, 48, 3)
    truth = left.expand(40, 48)
    wrong = torch.rand(40, 48, generator=generator) < 0.25
    first = torch.where(truth ^ wrong, 0.7, 0.3)
    found = dense_crf(rgb.to(torch.uint8), torch.stack([1 - first, first]))
    assert torch.allclose(found.sum(0), torch.ones(40, 48), atol=1e-5)
    assert (found.argmax(0).bool() == truth).float().mean() > 0.99 > (first.gt(0.5) == truth).float().mean()


def test_no_step_changes_nothing() -> None:
    probabilities = torch.rand(3, 6, 7, generator=torch.Generator().manual_seed(2)).softmax(0)
    found = dense_crf(torch.zeros(6, 7, 3, dtype=torch.uint8), probabilities, CrfSettings(steps=0))
    assert torch.allclose(found, probabilities, atol=1e-5)
