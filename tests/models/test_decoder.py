"""The decoder with its prompt-independent parts prepared computes what segment-anything's decoder computes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from seglab.models.decoder import ALL_MASKS, CANDIDATES, SINGLE_MASK, decode
from seglab.models.sam import AdaptedSam
from seglab.models.spec import POSITIVE, SamSpec

SPEC = SamSpec("small", 48, 8, 32, 2, 2, (1,), 4, 32, 64)


@pytest.fixture
def model() -> AdaptedSam:
    torch.manual_seed(0)
    model = AdaptedSam(SPEC).eval()
    for parameter in model.parameters():  # biases and norms that are not zeros and ones, which would hide mistakes
        nn.init.normal_(parameter, std=0.3)
    return model


def _original(model: AdaptedSam, embedding: Tensor, sparse: Tensor, dense: Tensor | None) -> tuple[Tensor, Tensor]:
    """segment-anything's own decoder for one image, one prompt at a time."""
    none = model.sam.prompt_encoder.no_mask_embed.weight[:, :, None, None].expand(-1, -1, *embedding.shape[-2:])
    parts = [
        model.sam.mask_decoder.predict_masks(
            embedding, model.dense_position(*embedding.shape[-2:]), one[None], none if dense is None else dense[i][None]
        )
        for i, one in enumerate(sparse)
    ]
    return torch.cat([p[0] for p in parts]), torch.cat([p[1] for p in parts])


def _close(found: Tensor, expected: Tensor) -> None:
    error = (found - expected).abs().max() / expected.abs().max()
    assert error < 1e-5, f"relative error {error:.2e}"


@torch.inference_mode()
@pytest.mark.parametrize("tokens", [0, 1, 4])
@pytest.mark.parametrize("grid", [(6, 6), (6, 4)])
@pytest.mark.parametrize("with_mask", [False, True])
def test_equals_segment_anything(model: AdaptedSam, tokens: int, grid: tuple[int, int], with_mask: bool) -> None:
    embedding, sparse = torch.randn(1, 32, *grid), torch.randn(3, tokens, 32)
    dense = torch.randn(3, 32, *grid) if with_mask else None
    found = decode(model.sam, model.prepare(embedding), sparse, dense)
    for ours, theirs in zip(found, _original(model, embedding, sparse, dense), strict=True):
        _close(ours, theirs)


@torch.inference_mode()
def test_one_prepared_image_serves_prompts_with_and_without_a_mask(model: AdaptedSam) -> None:
    embedding, masks = torch.randn(1, 32, 6, 6), torch.randn(1, 1, 24, 24)
    prepared = model.prepare(embedding)
    coords, labels = torch.tensor([[[9.0, 30.0]]]), torch.tensor([[POSITIVE]])
    plain = model.decode(embedding, coords, labels)[0]
    masked = model.decode(embedding, coords, labels, masks)[0]
    for given, expected in ((None, plain), (masks, masked), (None, plain)):
        _close(model.decode(prepared, coords, labels, given)[0], expected)
    assert not torch.allclose(plain, masked)


@torch.inference_mode()
def test_prompts_find_their_own_image(model: AdaptedSam) -> None:
    embeddings, sparse = torch.randn(2, 32, 6, 6), torch.randn(3, 2, 32)
    index = torch.tensor([1, 0, 1])
    found, _ = decode(model.sam, model.prepare(embeddings), sparse, image_index=index)
    for i, image in enumerate(index):
        expected, _ = _original(model, embeddings[image][None], sparse[i][None], None)
        _close(found[i][None], expected)


@torch.inference_mode()
def test_only_the_masks_wanted_are_made(model: AdaptedSam) -> None:
    prepared, sparse = model.prepare(torch.randn(1, 32, 6, 6)), torch.randn(2, 1, 32)
    every, quality = decode(model.sam, prepared, sparse, outputs=ALL_MASKS)
    for outputs, count in ((SINGLE_MASK, 1), (CANDIDATES, 3)):
        some, of_all = decode(model.sam, prepared, sparse, outputs=outputs)
        assert some.shape == (2, count, 24, 24)
        _close(some, every[:, outputs])
        torch.testing.assert_close(of_all, quality)


@pytest.mark.parametrize("with_mask", [False, True])
def test_gradients_equal_segment_anything(model: AdaptedSam, with_mask: bool) -> None:
    embedding, sparse = torch.randn(1, 32, 6, 6, requires_grad=True), torch.randn(2, 3, 32, requires_grad=True)
    dense = torch.randn(2, 32, 6, 6, requires_grad=True) if with_mask else None
    no_mask = [] if with_mask else [model.sam.prompt_encoder.no_mask_embed.weight]
    wanted = [embedding, sparse, *([] if dense is None else [dense]), *no_mask, *model.sam.mask_decoder.parameters()]
    weight = torch.randn(2, 4, 24, 24)

    def gradients(outcome: tuple[Tensor, Tensor]) -> tuple[Tensor, ...]:
        logits, quality = outcome
        return torch.autograd.grad((logits * weight).sum() + quality.sum(), wanted)

    ours = gradients(decode(model.sam, model.prepare(embedding), sparse, dense))
    theirs = gradients(_original(model, embedding, sparse, dense))
    largest = max(t.abs().max() for t in theirs)
    for mine, original in zip(ours, theirs, strict=True):
        # The gradient of the keys' bias is zero but for rounding, so the error is measured against the largest too.
        assert (mine - original).abs().max() < 1e-5 * max(original.abs().max(), 0.01 * largest)
