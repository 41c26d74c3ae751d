"""SAM's mask decoder, with what does not depend on the prompt computed once per image.

The weights are segment-anything's own. Ours is the order of the arithmetic: the first layer's keys, values and
queries of an image are the same for every prompt without a mask; the position's share of the later ones is the same
for every prompt; and everything on the image's side keeps its channels last, so that the mask's upscaling is two
matrix products and nothing large is transposed.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own convention

from seglab.models.build import Sam

ALL_MASKS, SINGLE_MASK, CANDIDATES = slice(0, 4), slice(0, 1), slice(1, 4)
"""Which of the decoder's masks: all four, the one for prompts that are not ambiguous, the three for those that are."""


@dataclass(frozen=True)
class PreparedImage:
    """What the decoder knows of images before any prompt; good for the weights it was made with, and no others."""

    embedding: Tensor
    """(I, D, h, w), as it was given."""
    first: Tensor
    """(I, N, 3c) keys, queries and values of the first layer for prompts without a mask, N = h * w."""
    shares: tuple[Tensor, ...]
    """(N, 3c) per layer, and (N, 2c) for the last attention: what position and bias add to keys, queries and values."""


def prepare(sam: Sam, embedding: Tensor, position: Tensor) -> PreparedImage:
    """The prompt-independent part of decoding.

    Args:
        sam: whose decoder will be used.
        embedding: (I, D, h, w) image embeddings.
        position: (1, D, h, w) dense position.
    """
    position = position.to(embedding.dtype).flatten(2).transpose(1, 2)[0]
    transformer, shares = sam.mask_decoder.transformer, []
    for layer in transformer.layers:
        to_image, to_tokens = layer.cross_attn_token_to_image, layer.cross_attn_image_to_token
        keys, queries = to_image.k_proj(position), to_tokens.q_proj(position)
        shares.append(torch.cat([keys, queries, _constant(to_image.v_proj, position)], dim=-1))
    final = transformer.final_attn_token_to_image
    shares.append(torch.cat([final.k_proj(position), _constant(final.v_proj, position)], dim=-1))
    image = _rows(embedding) + sam.prompt_encoder.no_mask_embed.weight
    return PreparedImage(embedding, _layer_side(transformer.layers[0], image, shares[0]), tuple(shares))


def decode(
    sam: Sam,
    prepared: PreparedImage,
    sparse: Tensor,
    dense: Tensor | None = None,
    image_index: Tensor | None = None,
    outputs: slice = ALL_MASKS,
) -> tuple[Tensor, Tensor]:
    """Masks for prompts of prepared images: what segment-anything's MaskDecoder computes.

    Args:
        sam: the one that the images were prepared with.
        prepared: of I images.
        sparse: (B, n, D) sparse prompt embeddings; n may be 0.
        dense: (B, D, h, w) or (1, D, h, w) embedding of the prompts' masks; None when no prompt has one.
        image_index: (B,) which image each prompt belongs to; None when I is 1 or B.
        outputs: which of the four masks are wanted.

    Returns:
        logits (B, M, 4h, 4w) of the masks wanted and predicted IoU (B, 4) of all.
    """
    decoder, count = sam.mask_decoder, len(sparse)
    height, width = prepared.embedding.shape[-2:]
    image, first = _rows(prepared.embedding), prepared.first
    if image_index is not None:
        image, first = image[image_index], first[image_index]
    image = image + (sam.prompt_encoder.no_mask_embed.weight if dense is None else _rows(dense))
    if dense is not None:
        first = _layer_side(decoder.transformer.layers[0], image, prepared.shares[0])
    output_tokens = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
    tokens = torch.cat([output_tokens.expand(count, -1, -1), sparse], dim=1)
    image = image.expand(count, -1, -1)
    hidden, image = _transform(decoder.transformer, image, tokens, first.expand(count, -1, -1), prepared.shares)
    weights = torch.stack([decoder.output_hypernetworks_mlps[i](hidden[:, 1 + i]) for i in range(4)[outputs]], dim=1)
    logits = _masks(decoder.output_upscaling, image, weights, height, width)
    return logits, decoder.iou_prediction_head(hidden[:, 0])


def _rows(image: Tensor) -> Tensor:
    """(I, D, h, w) to (I, h * w, D)."""
    return image.flatten(2).transpose(1, 2)


def _constant(projection: nn.Linear, like: Tensor) -> Tensor:
    """The bias alone, (N, c): values carry no position."""
    return projection.bias.to(like.dtype).expand(len(like), -1)


def _layer_side(layer: nn.Module, image: Tensor, share: Tensor) -> Tensor:
    """(B, N, 3c): keys for the tokens' attention, queries of the image's own, values, in one product."""
    to_image, to_tokens = layer.cross_attn_token_to_image, layer.cross_attn_image_to_token
    weight = torch.cat([to_image.k_proj.weight, to_tokens.q_proj.weight, to_image.v_proj.weight])
    return F.linear(image, weight) + share


def _transform(
    transformer: nn.Module, image: Tensor, prompt: Tensor, first: Tensor, shares: tuple[Tensor, ...]
) -> tuple[Tensor, Tensor]:
    """segment-anything's TwoWayTransformer: (B, n, D) tokens and (B, N, D) image, both after all layers."""
    tokens = prompt
    for i, layer in enumerate(transformer.layers):
        side = first if i == 0 else _layer_side(layer, image, shares[i])
        keys, queries, values = side.chunk(3, dim=-1)
        if layer.skip_first_layer_pe:
            tokens = layer.self_attn(q=tokens, k=tokens, v=tokens)
        else:
            placed = tokens + prompt
            tokens = tokens + layer.self_attn(q=placed, k=placed, v=tokens)
        tokens = layer.norm1(tokens)
        to_image, to_tokens = layer.cross_attn_token_to_image, layer.cross_attn_image_to_token
        tokens = layer.norm2(tokens + _attend(to_image, to_image.q_proj(tokens + prompt), keys, values))
        tokens = layer.norm3(tokens + layer.mlp(tokens))
        change = _attend(to_tokens, queries, to_tokens.k_proj(tokens + prompt), to_tokens.v_proj(tokens))
        image = layer.norm4(image + change)
    final = transformer.final_attn_token_to_image
    side = F.linear(image, torch.cat([final.k_proj.weight, final.v_proj.weight])) + shares[-1]
    keys, values = side.chunk(2, dim=-1)
    tokens = tokens + _attend(final, final.q_proj(tokens + prompt), keys, values)
    return transformer.norm_final_attn(tokens), image


def _attend(attention: nn.Module, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """segment-anything's decoder Attention after its three projections, (B, n, c) each."""
    q, k, v = (x.unflatten(-1, (attention.num_heads, -1)).transpose(1, 2) for x in (q, k, v))
    found = F.scaled_dot_product_attention(q, k, v)
    return attention.out_proj(found.transpose(1, 2).flatten(2))


def _masks(upscaling: nn.Sequential, image: Tensor, weights: Tensor, height: int, width: int) -> Tensor:
    """Logits (B, M, 4h, 4w): the image's tokens (B, h * w, D), enlarged fourfold, against each mask's weights.

    A transposed convolution whose stride is its kernel's side is a matrix product per token; the cells of a token stay
    beside it, and only the masks are put in order at the end.
    """
    enlarge, norm, activation, enlarge_again, activation_again = upscaling
    fine = _enlarge(enlarge, image)
    fine = activation(F.layer_norm(fine, norm.weight.shape, norm.weight, norm.bias, norm.eps))
    fine = activation_again(_enlarge(enlarge_again, fine))
    logits = weights.to(fine.dtype) @ fine.flatten(1, -2).transpose(1, 2)
    cells = logits.unflatten(-1, (height, width, 2, 2, 2, 2))  # row, column, then row and column within, twice
    return cells.permute(0, 1, 2, 4, 6, 3, 5, 7).flatten(5, 7).flatten(2, 4)


def _enlarge(layer: nn.ConvTranspose2d, cells: Tensor) -> Tensor:
    """(..., c) to (..., 4, c'): the four cells, row by row, that each cell becomes."""
    weight = layer.weight.permute(2, 3, 1, 0).flatten(0, 2)
    return F.linear(cells, weight, layer.bias.repeat(4)).unflatten(-1, (4, -1))
