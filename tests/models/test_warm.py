"""A warm image is used again, and never when anything that it was made of has changed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from seglab.models.sam import AdaptedSam
from seglab.models.spec import SamSpec
from seglab.models.warm import WarmImage

SPEC = SamSpec("small", 32, 8, 16, 2, 2, (1,), 2, 16, 32)

Change = Callable[[AdaptedSam, Tensor], tuple[AdaptedSam, Tensor]]


def _fresh() -> tuple[AdaptedSam, Tensor]:
    torch.manual_seed(0)
    return AdaptedSam(SPEC).eval().requires_grad_(False), torch.randn(1, 16, 4, 4)


def _optimised(model: AdaptedSam, embedding: Tensor) -> tuple[AdaptedSam, Tensor]:
    model.sam.mask_decoder.transformer.layers[1].cross_attn_token_to_image.k_proj.bias.add_(1)
    return model, embedding


def _without_mask(model: AdaptedSam, embedding: Tensor) -> tuple[AdaptedSam, Tensor]:
    model.sam.prompt_encoder.no_mask_embed.weight.mul_(2)
    return model, embedding


def _replaced(model: AdaptedSam, embedding: Tensor) -> tuple[AdaptedSam, Tensor]:
    layer = model.sam.mask_decoder.transformer.layers[0].cross_attn_image_to_token
    layer.q_proj.weight = torch.nn.Parameter(layer.q_proj.weight + 1, requires_grad=False)
    return model, embedding


def _another_model(model: AdaptedSam, embedding: Tensor) -> tuple[AdaptedSam, Tensor]:
    other = model.branch_off()
    other.sam.mask_decoder.transformer.layers[0].cross_attn_token_to_image.v_proj.weight.mul_(-1)
    return other, embedding


def _one_value(model: AdaptedSam, embedding: Tensor) -> tuple[AdaptedSam, Tensor]:
    embedding[0, 3, 2, 1] += 1
    return model, embedding.clone()


def _in_place(model: AdaptedSam, embedding: Tensor) -> tuple[AdaptedSam, Tensor]:
    embedding[0, 3, 2, 1] += 1
    return model, embedding


def _another_size(model: AdaptedSam, embedding: Tensor) -> tuple[AdaptedSam, Tensor]:
    return model, embedding[..., :2]


CHANGES = (_optimised, _without_mask, _replaced, _another_model, _one_value, _in_place, _another_size)


def test_the_same_image_is_prepared_once() -> None:
    (model, embedding), warm = _fresh(), WarmImage()
    first = warm.prepared(model, embedding)
    assert warm.prepared(model, embedding.clone()) is first


@torch.no_grad()
@pytest.mark.parametrize("change", CHANGES)
def test_any_change_is_noticed(change: Change) -> None:
    (model, embedding), warm = _fresh(), WarmImage()
    before = warm.prepared(model, embedding)
    model, embedding = change(model, embedding)
    after, expected = warm.prepared(model, embedding), model.prepare(embedding)
    assert torch.equal(after.embedding, embedding)
    assert after is not before
    for found, wanted in zip((after.first, *after.shares), (expected.first, *expected.shares), strict=True):
        assert torch.equal(found, wanted)


def test_weights_whose_changes_are_not_counted_are_never_trusted() -> None:
    with torch.inference_mode():
        (model, embedding), warm = _fresh(), WarmImage()
        before = warm.prepared(model, embedding).first
        model.sam.mask_decoder.transformer.layers[0].cross_attn_token_to_image.k_proj.weight.mul_(2)
        assert not torch.equal(warm.prepared(model, embedding).first, before)
