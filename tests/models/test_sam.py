"""The opened-up SAM computes what segment-anything computes."""

from __future__ import annotations

import pytest
import torch

from seglab.errors import RoundMismatchError
from seglab.models.adapters.atl import AtlAdapter
from seglab.models.adapters.base import first_block
from seglab.models.sam import AdaptedSam, count_parameters
from seglab.models.spec import PAD, POSITIVE, SPECS, SamSpec

SMALL = SamSpec("small", 64, 8, 32, 4, 2, (1, 3), 4, 32, 64, absolute_position=True)


@pytest.fixture
def model() -> AdaptedSam:
    torch.manual_seed(0)
    model = AdaptedSam(SMALL, adapt_from=3).eval()
    for name, parameter in model.named_parameters():
        if "pos" in name:  # zero at the start, which would hide mistakes
            torch.nn.init.normal_(parameter, std=0.2)
    return model


@torch.inference_mode()
def test_encoder_equals_segment_anything(model: AdaptedSam) -> None:
    image = torch.randn(2, 3, 64, 64)
    expected = model.sam.image_encoder(image)
    torch.testing.assert_close(model.encode(image), expected, rtol=1e-5, atol=1e-6)


@torch.inference_mode()
def test_split_at_any_block_gives_the_same_embedding(model: AdaptedSam) -> None:
    image = torch.randn(1, 3, 64, 64)
    expected = model.sam.image_encoder(image)
    for k in range(SMALL.depth + 1):
        model.adapt_from = k
        torch.testing.assert_close(model.encode(image), expected, rtol=1e-5, atol=1e-6)


@torch.inference_mode()
@pytest.mark.parametrize("with_box", [False, True])
def test_decoder_equals_segment_anything(model: AdaptedSam, with_box: bool) -> None:
    embedding = model.encode(torch.randn(1, 3, 64, 64))
    points = torch.tensor([[[10.0, 20.0], [40.0, 8.0]]])
    box = torch.tensor([[4.0, 6.0, 50.0, 60.0]])
    # segment-anything counts from pixel centres, and shifts by half a pixel itself
    sparse, dense = model.sam.prompt_encoder(
        (points - 0.5, torch.tensor([[1, 0]])), box - 0.5 if with_box else None, None
    )
    expected, expected_iou = model.sam.mask_decoder(
        embedding, model.sam.prompt_encoder.get_dense_pe(), sparse, dense, multimask_output=True
    )
    if with_box:
        coords = torch.cat([points, box.reshape(1, 2, 2)], dim=1)
        labels = torch.tensor([[1, 0, 2, 3]])
    else:
        coords, labels = torch.cat([points, torch.zeros(1, 1, 2)], dim=1), torch.tensor([[1, 0, PAD]])
    logits, iou = model.decode(embedding, coords, labels)
    torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(iou, expected_iou, rtol=1e-5, atol=1e-5)


@torch.inference_mode()
def test_prompts_of_many_images_in_one_call(model: AdaptedSam) -> None:
    embeddings = model.encode(torch.randn(2, 3, 64, 64))
    coords, labels = torch.rand(3, 1, 2) * 64, torch.full((3, 1), POSITIVE)
    index = torch.tensor([1, 0, 1])
    together, _ = model.decode(embeddings, coords, labels, image_index=index)
    for i, image in enumerate(index):
        alone, _ = model.decode(embeddings[image : image + 1], coords[i : i + 1], labels[i : i + 1])
        torch.testing.assert_close(together[i : i + 1], alone, rtol=1e-4, atol=1e-5)


def test_class_prompts_are_independent_of_each_other(model: AdaptedSam) -> None:
    embedding = model.encode(torch.randn(2, 3, 64, 64)).detach()
    prompts = torch.randn(3, SMALL.prompt_dim)
    with torch.inference_mode():
        all_classes = model.decode_classes(embedding, prompts)
        assert all_classes.shape == (2, 3, SMALL.mask_size, SMALL.mask_size)
        torch.testing.assert_close(
            all_classes[:, 1:2], model.decode_classes(embedding, prompts[1:2]), rtol=1e-4, atol=1e-5
        )


def test_exemplar_is_the_mean_over_the_mask(model: AdaptedSam) -> None:
    embedding = torch.randn(SMALL.prompt_dim, 8, 8)
    mask = torch.zeros(64, 64, dtype=torch.bool)
    mask[8:24, 16:40] = True  # tokens 1..2 down, 2..4 across
    torch.testing.assert_close(model.exemplar(embedding, mask), embedding[:, 1:3, 2:5].mean((1, 2)))
    assert model.exemplar(embedding, torch.zeros(64, 64)).abs().sum() == 0


def test_official_sizes() -> None:
    with torch.device("meta"):
        assert count_parameters(AdaptedSam(SPECS["vit_b"]).parameters()) == 93_735_472


@pytest.mark.parametrize(
    ("place", "depth", "block"),
    [("all", 12, 0), ("late", 12, 9), ("last", 12, 11), ("neck", 12, 12), (5, 12, 5), ("late", 6, 4), ("late", 2, 1)],
)
def test_places(place: str | int, depth: int, block: int) -> None:
    assert first_block(place, depth) == block


def test_a_place_that_is_none_says_which_there_are() -> None:
    for place in ("middle", 13, -1):
        with pytest.raises(RoundMismatchError, match="all, late, last, neck"):
            first_block(place, 12)


def test_a_branch_trains_without_touching_its_parent(model: AdaptedSam) -> None:
    branch = model.branch_off()
    branch.attach(AtlAdapter(SMALL.width, SMALL.depth, SMALL.patch, adapt_from=3, bottleneck=4))
    branch.freeze_base()
    image = torch.randn(1, 3, 64, 64)
    parent_before = model.encode(image).detach().clone()
    loss = branch.decode_prompt_free(branch.encode(image)).square().mean()
    loss.backward()
    with torch.no_grad():
        for parameter in branch.trained_parameters().values():
            if parameter.grad is not None:
                parameter -= parameter.grad
    assert branch.sam.image_encoder is model.sam.image_encoder
    assert all(p.grad is None for p in branch.sam.image_encoder.parameters())
    torch.testing.assert_close(model.encode(image), parent_before)
    assert not torch.equal(branch.sam.mask_decoder.mask_tokens.weight, model.sam.mask_decoder.mask_tokens.weight)
    assert branch.encoder_hash() != model.encoder_hash()
    assert branch.prefix_hash() == model.prefix_hash()
