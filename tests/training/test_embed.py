"""Embeddings in the precision of training beside those of a session."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from seglab.models import device
from seglab.models.adapters.registry import new_adapter
from seglab.models.prefix import Prefix
from seglab.models.sam import AdaptedSam
from seglab.models.spec import SPECS
from seglab.training.embed import suffix_to_train

SPEC = replace(SPECS["tiny"], image_size=112)


def _model(adapter: str) -> AdaptedSam:
    torch.manual_seed(0)
    model = AdaptedSam(SPEC).eval()
    model.attach(new_adapter(adapter, SPEC, "last"))
    for parameter in model.adapter.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    model.freeze_base()
    return model


def _prefix() -> Prefix:
    grid = (1, SPEC.grid, SPEC.grid, SPEC.width)
    return Prefix(torch.randn(grid), torch.randn(grid), torch.randn(1, 3, 112, 112)).stored()


@pytest.mark.parametrize("adapter", ["atl_a", "lora", "serial", "full"])
def test_lower_precision_leaves_the_direction_of_the_gradient(adapter: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = _model(adapter)
    prefix = _prefix()
    wanted = torch.randn(1, SPEC.prompt_dim, SPEC.grid, SPEC.grid)
    found = {}
    for width in (SPEC.width, SPEC.width + 1):  # bfloat16, then float32
        monkeypatch.setattr(device, "WIDE", width)
        monkeypatch.setattr(device, "_cpu_capabilities", lambda: {"avx512_bf16": True})
        model.zero_grad()
        embedding = suffix_to_train(model, prefix)
        assert embedding.dtype == torch.float32
        (embedding - wanted).square().mean().backward()
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        assert {g.dtype for g in gradients} == {torch.float32}
        found[width] = embedding.detach(), torch.cat([g.flatten() for g in gradients])
    (low, low_gradient), (high, high_gradient) = found.values()
    assert not torch.equal(low, high)
    torch.testing.assert_close(low, high, rtol=0, atol=0.1)
    assert torch.cosine_similarity(low_gradient, high_gradient, dim=0) > 0.99
