"""segment-anything's encoder block with fused attention, and the places where an adapter may reach into it.

The block's weights are segment-anything's own. What is ours is the order of the arithmetic: the decomposed relative
position goes into torch's scaled_dot_product_attention, so that the query-by-key scores of a whole image are never
all in memory at once, except where they are few.

    scores(i, j) = scale * q_i . k_j + q_i . R_h[row_i - row_j] + q_i . R_w[col_i - col_j]

The two position terms of a query depend on the key's row alone and on its column alone. So they are either added as
an attention bias, for some queries at a time, or carried by extra channels: the query gets its h + w position terms,
the key the indicators of its row and its column, and their dot product is the bias.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own convention

from seglab.models.adapters.base import Adapter
from seglab.models.torchvision_ops import ensure_torchvision_operators

ensure_torchvision_operators()

from segment_anything.modeling.image_encoder import Block, window_partition, window_unpartition  # noqa: E402

QUERIES_AT_ONCE = 512
"""Queries whose bias is built at a time when no gradient is wanted: measured on CPU, the fused kernel with a bias of
512 x 4096 is as fast as with all of it (ViT-B at 1024 px), in a tenth of the memory."""

FEW_TOKENS = 1024
"""Up to here a gradient goes through a plain bias, beyond through extra channels. Measured on CPU, ViT-B: at 28 x 28
tokens the bias needs 0.66 of the channels' time; at 64 x 64 the channels need 0.6 of the time, and 0.4 GB, not 2.4.
On a GPU channels always win: the fastest kernels take no bias (forward and backward of 64 images of 28 x 28 tokens in
bf16 on an H200: 2.4 ms, with a bias 5.9 ms)."""


def run_block(block: Block, tokens: Tensor, index: int = 0, adapter: Adapter | None = None) -> Tensor:
    """One encoder block: what `block(tokens)` computes, with an adapter's changes.

    Args:
        block: segment-anything's block.
        tokens: (B, h, w, d).
        index: the block's number, for the adapter.
        adapter: whose hooks qkv, after_attention and after_mlp are called; none if None.

    Returns:
        (B, h, w, d).
    """
    height, width = tokens.shape[1:3]
    x, padded = block.norm1(tokens), (height, width)
    if block.window_size > 0:
        x, padded = window_partition(x, block.window_size)
    x = _attention(block.attn, x, index, adapter)
    if adapter is not None:
        x = adapter.after_attention(index, x)
    if block.window_size > 0:
        x = window_unpartition(x, block.window_size, padded, (height, width))
    tokens = tokens + x
    x = block.mlp(block.norm2(tokens))
    if adapter is not None:
        x = adapter.after_mlp(index, x)
    return tokens + x


def _attention(layer: nn.Module, x: Tensor, index: int, adapter: Adapter | None) -> Tensor:
    """segment-anything's Attention for x (B, h, w, d)."""
    count, height, width, _ = x.shape
    qkv = layer.qkv(x)
    change = None if adapter is None else adapter.qkv(index, x)
    if change is not None:
        qkv = qkv + change
    qkv = qkv.view(count, height * width, 3, layer.num_heads, -1).permute(2, 0, 3, 1, 4)
    q, k, v = qkv.unbind(0)
    if layer.use_rel_pos:
        down, across = _position_terms(layer, q, height, width)
        x = attend(q, k, v, down, across, layer.scale)
    else:
        x = F.scaled_dot_product_attention(q, k, v, scale=layer.scale)
    return layer.proj(x.transpose(1, 2).reshape(count, height, width, -1))


def _position_terms(layer: nn.Module, q: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Each query's score for every row, (B, heads, N, h), and for every column, (B, heads, N, w)."""
    grid = q.unflatten(2, (height, width))
    # Looked up at each call: pretraining on crops puts its own in that place (seglab.pretrain.network).
    rows, cols = relative_positions(layer.rel_pos_h, height), relative_positions(layer.rel_pos_w, width)
    down = torch.einsum("bnhwc,hkc->bnhwk", grid, rows)
    across = torch.einsum("bnhwc,wkc->bnhwk", grid, cols)
    return down.flatten(2, 3), across.flatten(2, 3)


def relative_positions(table: Tensor, size: int) -> Tensor:
    """What segment-anything's `get_rel_pos` gives for queries and keys of one length, without asking the CPU.

    Args:
        table: (L, c), one row per distance; resized linearly where L is not 2 * size - 1.
        size: tokens along the axis.

    Returns:
        (size, size, c): entry (i, j) for a query at i and a key at j.
    """
    if len(table) != 2 * size - 1:
        table = F.interpolate(table.T[None], size=2 * size - 1, mode="linear")[0].T
    place = torch.arange(size, device=table.device)
    return table[place[:, None] - place[None, :] + size - 1]


def attend(q: Tensor, k: Tensor, v: Tensor, down: Tensor, across: Tensor, scale: float) -> Tensor:
    """Attention on a grid with decomposed relative position (Li et al. 2022, MViTv2, section 4.1).

    Args:
        q, k, v: (B, heads, N, c), N = h * w tokens row by row.
        down: (B, heads, N, h), what is added to a query's score for the keys of each row.
        across: (B, heads, N, w), the same for columns.
        scale: of the dot products of q and k.

    Returns:
        (B, heads, N, c).
    """
    if q.is_cuda:
        return _with_channels(q, k, v, down, across, scale)
    trains = torch.is_grad_enabled() and any(t.requires_grad for t in (q, k, v, down, across))
    if not trains:
        parts = (t.split(QUERIES_AT_ONCE, dim=2) for t in (q, down, across))
        return torch.cat([_with_bias(part, k, v, d, a, scale) for part, d, a in zip(*parts, strict=True)], dim=2)
    if q.shape[2] <= FEW_TOKENS:
        attention = _in_steps if q.device.type == "cpu" else _with_bias
        return attention(q, k, v, down, across, scale)
    return _with_channels(q, k, v, down, across, scale)


def _with_bias(q: Tensor, k: Tensor, v: Tensor, down: Tensor, across: Tensor, scale: float) -> Tensor:
    bias = (down[..., :, None] + across[..., None, :]).flatten(-2)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype), scale=scale)


def _in_steps(q: Tensor, k: Tensor, v: Tensor, down: Tensor, across: Tensor, scale: float) -> Tensor:
    """As `_with_bias`. No fused CPU kernel has a gradient for the bias, and what PyTorch does in its place also looks
    for rows that are masked out, of which there are none here."""
    bias = (down[..., :, None] + across[..., None, :]).flatten(-2)
    queries, keys, values = (t.flatten(0, 1) for t in (q * scale, k, v))
    scores = torch.baddbmm(bias.to(q.dtype).flatten(0, 1), queries, keys.transpose(1, 2))
    return torch.bmm(scores.softmax(-1), values).unflatten(0, q.shape[:2])


def _with_channels(q: Tensor, k: Tensor, v: Tensor, down: Tensor, across: Tensor, scale: float) -> Tensor:
    height, width = down.shape[-1], across.shape[-1]
    is_row = torch.eye(height, dtype=q.dtype, device=q.device).repeat_interleave(width, dim=0)
    is_col = torch.eye(width, dtype=q.dtype, device=q.device).repeat(height, 1)
    place = torch.cat([is_row, is_col], dim=1).expand(*k.shape[:3], -1)
    queries = torch.cat([q * scale, down.to(q.dtype), across.to(q.dtype)], dim=-1)
    # The fused kernels want one width for all three; the values' extra channels come out as zeros.
    values = F.pad(v, (0, height + width))
    out = F.scaled_dot_product_attention(queries, torch.cat([k, place], dim=-1), values, scale=1.0)
    return out[..., : v.shape[-1]]
