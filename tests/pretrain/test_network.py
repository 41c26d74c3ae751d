"""The network in training: crops anywhere in the input, and a start that looks where it is told."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seglab.models import attention, decoder
from seglab.models.sam import AdaptedSam
from seglab.models.spec import PAD, POSITIVE, SPECS, SamSpec
from seglab.pretrain.network import CropSam, start, true_distances

SMALL = SamSpec("small", 64, 8, 24, 2, 2, (1,), 4, 32, 32, absolute_position=False)


@pytest.fixture
def image() -> torch.Tensor:
    return torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def test_a_crop_sees_the_positions_of_its_place(image):
    torch.manual_seed(0)
    model = CropSam(SMALL).eval()
    model.corner = (3, 2)
    whole = AdaptedSam.dense_position(model, 8, 8)
    torch.testing.assert_close(model.dense_position(4, 4), whole[:, :, 2:6, 3:7])
    at = torch.tensor([[[5.0, 9.0]]])
    label = torch.tensor([[POSITIVE]])
    expected = AdaptedSam.embed_points(model, at + torch.tensor([24.0, 16.0]), label)
    torch.testing.assert_close(model.embed_points(at, label), expected)


def test_full_size_input_is_encoded_as_by_the_product(image):
    torch.manual_seed(0)
    model = CropSam(SMALL).eval()
    for block in model.sam.image_encoder.blocks:
        torch.nn.init.normal_(block.attn.rel_pos_h)
    plain = AdaptedSam(SMALL).eval()
    plain.load_state_dict(model.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(model.encode(image), plain.encode(image))


def test_relative_positions_of_crops_keep_their_distances():
    table = torch.arange(15.0)[:, None]
    with true_distances():
        small = attention.relative_positions(table, 4)[..., 0]
        full = attention.relative_positions(table, 8)[..., 0]
    torch.testing.assert_close(small, full[2:6, 2:6])
    # Without it the table is resized: one step would mean two.
    resized = attention.relative_positions(table, 4)[..., 0]
    assert (resized[0, 1] - resized[0, 0]).abs() > 1.5


def test_a_click_attends_to_its_own_place_from_the_start(monkeypatch):
    torch.manual_seed(0)
    model = CropSam(SPECS["tiny"]).eval()
    images = 0.5 * torch.randn(2, 3, 112, 112)
    start(model, images)
    first = model.sam.mask_decoder.transformer.layers[0].cross_attn_token_to_image
    seen: list[torch.Tensor] = []

    def look(module, q, k, v):
        if module is first:
            queries, keys = (module._separate_heads(x, module.num_heads) for x in (q, k))
            seen.append(torch.softmax(queries @ keys.transpose(-1, -2) / queries.shape[-1] ** 0.5, -1))
        return attend(module, q, k, v)

    attend = decoder._attend
    monkeypatch.setattr(decoder, "_attend", look)
    rng = np.random.default_rng(0)
    shares = []
    with torch.no_grad():
        embedding = model.encode(images)
        for _ in range(6):
            model.place(112, rng)
            col, row = rng.integers(2, 12, 2)
            coords = torch.tensor([[[col * 8 + 4.0, row * 8 + 4.0], [0.0, 0.0]]]).expand(2, -1, -1)
            model.decode(embedding, coords, torch.tensor([[POSITIVE, PAD]] * 2))
            # Token 5 is the click: one IoU and four mask tokens come first.
            weight = seen[-1][:, :, 5].mean(1).unflatten(-1, (14, 14))
            shares.append(weight[:, row - 2 : row + 3, col - 2 : col + 3].sum((1, 2)).mean().item())
    # Evenly spread attention would put 25 / 196 = 0.13 there.
    assert np.mean(shares) > 0.3


def test_the_patch_embedding_loses_no_pixel():
    model = AdaptedSam(SPECS["tiny"])
    torch.manual_seed(0)
    start(model, torch.randn(2, 3, 112, 112))
    kernels = model.sam.image_encoder.patch_embed.proj.weight.detach().flatten(1)
    assert torch.linalg.matrix_rank(kernels) == 192
