"""The stand-in for torchvision's compiled nms."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from seglab.models.torchvision_ops import ensure_torchvision_operators, nms


def test_segment_anything_imports() -> None:
    ensure_torchvision_operators()
    import segment_anything

    assert segment_anything.sam_model_registry


@given(st.integers(0, 40), st.integers(0, 10_000), st.sampled_from([0.1, 0.5, 0.9]))
def test_nms_keeps_the_best_of_each_crowd(count: int, seed: int, threshold: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator) * 50
    boxes = torch.cat([corner, corner + 1 + torch.rand(count, 2, generator=generator) * 30], dim=1)
    scores = torch.rand(count, generator=generator)
    kept = nms(boxes, scores, threshold).tolist()
    assert scores[kept].tolist() == sorted(scores[kept].tolist(), reverse=True)

    def overlap(a: torch.Tensor, b: torch.Tensor) -> float:
        extent = (torch.minimum(a[2:], b[2:]) - torch.maximum(a[:2], b[:2])).clamp(min=0)
        shared = extent.prod()
        return float(shared / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - shared))

    for i in range(count):
        better = [k for k in kept if scores[k] > scores[i]]
        crowded = any(overlap(boxes[i], boxes[k]) > threshold for k in better)
        assert (i in kept) != crowded
