"""Each family computes what METHODS and its paper give for it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, gelu, layer_norm

from seglab.models.adapters.atl import (
    AtlAdapter,
    AtlConvAdapter,
    AtlNoResidualAdapter,
    AtlSerialAdapter,
    AtlSerialNoResidualAdapter,
    AtlTwoLayerAdapter,
)
from seglab.models.adapters.base import Adapter
from seglab.models.adapters.lora import LoraAdapter
from seglab.models.adapters.neck import NeckAdapter
from seglab.models.adapters.serial import SerialAdapter, SerialNormAdapter
from seglab.models.sam import AdaptedSam
from seglab.models.spec import SamSpec

SMALL = SamSpec("small", 64, 8, 32, 4, 2, (1, 3), 4, 32, 64)


def shaken(adapter: Adapter) -> Adapter:
    """Random values everywhere, so that nothing hides behind a zero or a one."""
    for parameter in adapter.parameters():
        nn.init.normal_(parameter, std=0.3)
    return adapter.requires_grad_(False)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def linear(x: Tensor, layer: nn.Linear) -> Tensor:
    return x @ layer.weight.T + layer.bias


def normed(x: Tensor, norm: nn.Module) -> Tensor:
    """Over the last axis, by its definition."""
    spread = (x.var(-1, unbiased=False, keepdim=True) + 1e-6).sqrt()
    return (x - x.mean(-1, keepdim=True)) / spread * norm.weight + norm.bias


def pointwise(x: Tensor, conv: nn.Conv2d) -> Tensor:
    return x @ conv.weight[:, :, 0, 0].T + conv.bias


def test_the_branch_is_made_once_from_patches_and_high_pass_image() -> None:
    adapter = shaken(AtlAdapter(width=64, depth=3, patch=8, adapt_from=1))
    patches, image = torch.randn(1, 4, 4, 64), torch.randn(1, 3, 32, 32)
    q = conv2d(image, adapter.high_pass.weight, adapter.high_pass.bias, stride=8)
    expected = linear(patches, adapter.embed) + q.permute(0, 2, 3, 1)
    torch.testing.assert_close(adapter.branch(patches, image), expected)


def test_atl_a() -> None:
    adapter = shaken(AtlAdapter(width=64, depth=3, patch=8, adapt_from=1))
    branch, tokens = torch.randn(1, 4, 4, 2), torch.randn(1, 4, 4, 64)
    share = linear(gelu(linear(branch, adapter.per_block[1])), adapter.shared_up)
    torch.testing.assert_close(adapter.before_block(2, tokens, branch), tokens + share)
    alone = AtlNoResidualAdapter(width=64, depth=3, patch=8, adapt_from=1)
    alone.load_state_dict(adapter.state_dict())
    torch.testing.assert_close(alone.before_block(2, tokens, branch), share)


def test_atl_b() -> None:
    adapter = shaken(AtlTwoLayerAdapter(width=64, depth=3, patch=8, adapt_from=1))
    branch, tokens = torch.randn(1, 4, 4, 2), torch.randn(1, 4, 4, 64)
    first, _, second = adapter.per_block[0]
    share = linear(gelu(linear(gelu(linear(branch, first)), second)), adapter.shared_up)
    torch.testing.assert_close(adapter.before_block(1, tokens, branch), tokens + share)


def test_atl_c() -> None:
    adapter = shaken(AtlConvAdapter(width=64, depth=3, patch=8, adapt_from=1, bottleneck=6))
    branch, tokens = torch.randn(2, 4, 5, 6), torch.randn(2, 4, 5, 64)
    narrow, norm1, _, depthwise, norm2, _, wide, norm3, _ = adapter.shared_up
    x = gelu(linear(branch, adapter.per_block[1]))
    x = gelu(normed(pointwise(x, narrow), norm1))
    padded = nn.functional.pad(x, (0, 0, 1, 1, 1, 1))
    near = sum(
        padded[:, row : row + 4, col : col + 5] * depthwise.weight[:, 0, row, col]
        for row in range(3)
        for col in range(3)
    )
    x = gelu(normed(near + depthwise.bias, norm2))
    x = gelu(normed(pointwise(x, wide), norm3))
    torch.testing.assert_close(adapter.before_block(2, tokens, branch), tokens + x, rtol=1e-4, atol=1e-5)


def test_atl_d() -> None:
    adapter = shaken(AtlSerialAdapter(width=32, depth=3, adapt_from=1))
    x = torch.randn(4, 4, 4, 32)  # windows
    down, _, up = adapter.bottleneck[1]
    conv, norm, _ = adapter.repeated[1]
    found = linear(gelu(linear(x, down)), up)
    for _ in range(3):
        found = gelu(normed(pointwise(found, conv), norm))
    torch.testing.assert_close(adapter.after_attention(2, x), x + found, rtol=1e-4, atol=1e-5)
    alone = AtlSerialNoResidualAdapter(width=32, depth=3, adapt_from=1)
    alone.load_state_dict(adapter.state_dict())
    torch.testing.assert_close(alone.after_attention(2, x), found, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_atl_d_acts_inside_the_windows() -> None:
    """In a windowed block the adapter sees windows, the padded places among them."""
    model = AdaptedSam(SamSpec("odd", 40, 8, 32, 2, 2, (), 4, 32, 64), adapt_from=1).eval()
    model.attach(AtlSerialAdapter(32, 2, 1))
    seen = []
    original = model.adapter.after_attention
    model.adapter.after_attention = lambda index, x: (seen.append((index, x.shape)), original(index, x))[1]
    model.encode(torch.randn(1, 3, 40, 40))
    assert seen == [(1, (4, 4, 4, 32))]  # 5 x 5 tokens in 4 windows of 4 x 4


@torch.no_grad()
def test_lora_is_a_change_of_the_query_and_value_weights() -> None:
    model = AdaptedSam(SMALL, adapt_from=2).eval()
    adapter = shaken(LoraAdapter(SMALL.width, SMALL.depth, 2))
    image = torch.randn(2, 3, 64, 64)
    model.attach(adapter)
    found = model.encode(image)
    model.adapter = None
    for i in (2, 3):
        weight = model.sam.image_encoder.blocks[i].attn.qkv.weight
        weight[:32] += adapter.query_up[i - 2].weight @ adapter.query_down[i - 2].weight
        weight[64:] += adapter.value_up[i - 2].weight @ adapter.value_down[i - 2].weight
    torch.testing.assert_close(found, model.sam.image_encoder(image), rtol=1e-4, atol=1e-5)


def test_serial() -> None:
    adapter, x = shaken(SerialAdapter(32, 3, 1)), torch.randn(1, 4, 4, 32)
    expected = x + linear(gelu(linear(x, adapter.down[1])), adapter.up[1])
    torch.testing.assert_close(adapter.after_mlp(2, x), expected)


def test_serial_as_in_seismic_fault_sam() -> None:
    adapter, x = shaken(SerialNormAdapter(32, 3, 1)), torch.randn(1, 4, 4, 32)
    before = normed(x, adapter.norm[1])
    torch.testing.assert_close(before, layer_norm(x, (32,), adapter.norm[1].weight, adapter.norm[1].bias, 1e-6))
    expected = x + linear(gelu(linear(before, adapter.down[1])), adapter.up[1])
    torch.testing.assert_close(adapter.after_mlp(2, x), expected)


def test_neck() -> None:
    adapter, embedding = shaken(NeckAdapter(32, 4)), torch.randn(2, 32, 5, 6)
    first, _, second, _, third = adapter.layers
    x = gelu(conv2d(embedding, first.weight, first.bias))
    x = gelu(conv2d(x, second.weight, second.bias, padding=1))
    expected = embedding + conv2d(x, third.weight, third.bias)
    torch.testing.assert_close(adapter.after_neck(embedding), expected)


def test_atl_starts_small_but_not_at_zero() -> None:
    adapter = AtlAdapter(width=768, depth=12, patch=16)
    assert 0.015 < adapter.embed.weight.std() < 0.025
    assert all(layer.bias.abs().sum() == 0 for layer in adapter.per_block)
    assert 0.5 < adapter.high_pass.weight.std() / (2 / (16 * 16 * 24)) ** 0.5 < 1.5
    depthwise = AtlConvAdapter(width=768, depth=2, patch=16).shared_up[3]
    assert 0.7 < depthwise.weight.std() / (2 / 9) ** 0.5 < 1.3  # one output per group
    conv = AtlSerialAdapter(width=256, depth=1).repeated[0][0]
    assert 0.9 < conv.weight.std() / (2 / 256) ** 0.5 < 1.1
