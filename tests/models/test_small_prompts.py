"""What a small model is told beyond the prompt's coordinates: a box as a mask, a click with what lies there."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from seglab.models.sam import AdaptedSam
from seglab.models.spec import BOX_BOTTOM_RIGHT, BOX_LOGIT, BOX_TOP_LEFT, NEGATIVE, PAD, POSITIVE, SamSpec

SMALL = SamSpec("small", 64, 8, 24, 1, 2, (), 4, 32, 32, absolute_position=False, box_as_mask=True)
BOX, CLICK = [BOX_TOP_LEFT, BOX_BOTTOM_RIGHT], [POSITIVE, PAD]


@pytest.fixture
def model() -> AdaptedSam:
    torch.manual_seed(0)
    return AdaptedSam(SMALL).eval()


def test_the_mask_is_the_box(model):
    coords = torch.tensor([[[8.0, 16.0], [24.0, 40.0]]])
    mask, boxed = model.filled_boxes(coords, torch.tensor([BOX]), (8, 8))
    assert boxed.tolist() == [True]
    assert mask.shape == (1, 1, 32, 32)
    inside = mask[0, 0] > 0
    assert inside[8:20, 4:12].all() and inside.sum() == 12 * 8
    assert mask.abs().unique().tolist() == [BOX_LOGIT]


@torch.no_grad()
def test_a_click_in_the_same_batch_is_decoded_as_alone(model):
    embedding = torch.randn(1, 32, 8, 8)
    coords = torch.tensor([[[8.0, 16.0], [24.0, 40.0]], [[30.0, 30.0], [0.0, 0.0]]])
    labels = torch.tensor([BOX, CLICK])
    together, _ = model.decode(embedding, coords, labels)
    for i in range(2):
        alone, _ = model.decode(embedding, coords[i : i + 1], labels[i : i + 1])
        torch.testing.assert_close(together[i : i + 1], alone)
    filled, boxed = model.filled_boxes(coords, labels, (8, 8))
    assert boxed.tolist() == [True, False]
    by_hand, _ = model.decode_tokens(embedding, model.embed_points(coords, labels)[:1], filled[:1])
    torch.testing.assert_close(together[:1], by_hand[:, 1:])


@torch.no_grad()
def test_a_previous_mask_comes_before_the_box(model):
    embedding, previous = torch.randn(1, 32, 8, 8), torch.randn(1, 1, 32, 32)
    coords, labels = torch.tensor([[[8.0, 16.0], [24.0, 40.0]]]), torch.tensor([BOX])
    given, _ = model.decode(embedding, coords, labels, previous)
    by_hand, _ = model.decode_tokens(embedding, model.embed_points(coords, labels), previous)
    torch.testing.assert_close(given, by_hand[:, 1:])


@torch.no_grad()
def test_a_click_carries_the_embedding_at_its_place(model):
    embedding = torch.randn(2, 32, 8, 8)
    middle_of_token = torch.tensor([[[20.0, 12.0], [44.0, 60.0], [0.0, 0.0]]]).expand(2, -1, -1)
    labels = torch.tensor([[POSITIVE, NEGATIVE, PAD]]).expand(2, -1)
    index = torch.tensor([1, 0])
    found = model._content(embedding, middle_of_token, labels, index)
    encoder = model.sam.prompt_encoder
    for row, image in enumerate((1, 0)):
        torch.testing.assert_close(found[row, 0], embedding[image, :, 1, 2])
        marked = embedding[image, :, 7, 5] + encoder.point_embeddings[NEGATIVE].weight[0]
        torch.testing.assert_close(found[row, 1], marked)
        torch.testing.assert_close(found[row, 2], encoder.not_a_point_embed.weight[0])


@torch.no_grad()
def test_content_reaches_the_decoder_only_where_the_spec_says_so(model):
    torch.manual_seed(0)
    speaking = AdaptedSam(replace(SMALL, click_content=True)).eval()
    speaking.load_state_dict(model.state_dict())
    embedding = torch.randn(1, 32, 8, 8)
    coords, labels = torch.tensor([[[20.0, 12.0]]]), torch.tensor([[POSITIVE]])
    plain, _ = model.decode(embedding, coords, labels)
    told, _ = speaking.decode(embedding, coords, labels)
    sparse = model.embed_points(coords, labels)
    by_hand, _ = model.decode_tokens(embedding, torch.cat([sparse, embedding[:, :, 1, 2][:, None]], dim=1))
    torch.testing.assert_close(told, by_hand[:, 1:])
    assert not torch.allclose(told, plain)
