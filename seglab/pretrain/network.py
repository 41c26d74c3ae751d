"""The network in training: small crops anywhere in the input, and a start that already looks where it is told."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from seglab.models import attention
from seglab.models.sam import AdaptedSam
from seglab.models.spec import SamSpec
from seglab.pretrain.scenes import CLASSES

# Frequencies per attention head are few; this sharpness gives a click about 6 nats over the mean of the image.
SHARPNESS = 6.0


class CropSam(AdaptedSam):
    """A SAM that trains on crops smaller than its input.

    A crop is encoded with the relative positions that its tokens have in the full input, and prompts and dense
    positions are those of a crop whose first token lies at `corner`. So the same weights serve both sizes.
    """

    def __init__(self, spec: SamSpec) -> None:
        super().__init__(spec)
        self.corner = (0, 0)
        """(column, row) of the crop's first token in the full input."""

    def place(self, crop: int, rng: np.random.Generator) -> None:
        """Put crops of `crop` pixels at a random token of the input."""
        room = self.spec.grid - crop // self.spec.patch
        self.corner = (int(rng.integers(room + 1)), int(rng.integers(room + 1))) if room else (0, 0)

    def embed_points(self, coords: Tensor, labels: Tensor) -> Tensor:
        """As in AdaptedSam, coords in crop pixels."""
        if self.corner == (0, 0):
            return super().embed_points(coords, labels)
        moved = [coords[..., axis] + self.corner[axis] * self.spec.patch for axis in (0, 1)]
        return super().embed_points(torch.stack(moved, -1), labels)

    def dense_position(self, height: int, width: int) -> Tensor:
        """As in AdaptedSam, for the tokens that the crop covers."""
        col, row = self.corner
        full = super().dense_position(row + height, col + width)
        return full[:, :, row:, col:]

    def encode(self, image: Tensor, extra: Tensor | None = None) -> Tensor:
        """As in AdaptedSam, for crops of any size up to the input's."""
        if image.shape[-1] == self.spec.image_size:
            return super().encode(image, extra)
        with true_distances():
            return super().encode(image, extra)


@contextmanager
def true_distances() -> Iterator[None]:
    """Within it, an input smaller than the network's uses the middle of each relative-position table.

    Without it the table is resized, which would make one token's distance mean another on small crops.
    """
    original = attention.relative_positions

    def cropped(table: Tensor, size: int) -> Tensor:
        start = (len(table) - (2 * size - 1)) // 2
        return original(table[start : start + 2 * size - 1] if start > 0 else table, size)

    attention.relative_positions = cropped
    try:
        yield
    finally:
        attention.relative_positions = original


class DenseHead(nn.Module):
    """Teaches the encoder directly, and is thrown away: which tokens share an object, and what each is."""

    def __init__(self, width: int, hidden: int = 32) -> None:
        super().__init__()
        self.embed = nn.Conv2d(width, hidden, 1)
        self.classify = nn.Conv2d(width, len(CLASSES), 1)
        self.scale = nn.Parameter(torch.tensor([6.0, -3.0]))

    def forward(self, embedding: Tensor) -> tuple[Tensor, Tensor]:
        """(B, D, h, w) to pair logits (B, h*w, h*w) and class logits (B, classes, h, w)."""
        token = nn.functional.normalize(self.embed(embedding).flatten(2), dim=1)
        pairs = token.transpose(1, 2) @ token
        return self.scale[0] * pairs + self.scale[1], self.classify(embedding)


def start(model: AdaptedSam, images: Tensor) -> None:
    """Set initial weights from which learning is quick.

    The patch embedding is a whitened cosine transform (a complete basis where width = 3 * patch^2), so no pixel is
    lost; the decoder's cross attention ties queries to keys on the positional features, so that a click attends to
    its own place from the first step.

    Args:
        model: a freshly built SAM.
        images: (B, 3, S, S) normalised, to measure the spread of patch coefficients.
    """
    with torch.no_grad():
        _cosine_patches(model, images)
        encoder = model.sam.image_encoder
        encoder.neck[3].weight.fill_(0.5)
        for block in encoder.blocks:
            # Residual branches start small: the network starts near the identity.
            block.attn.proj.weight.mul_(0.3)
            block.mlp.lin2.weight.mul_(0.3)
        transformer = model.sam.mask_decoder.transformer
        for layer in transformer.layers:
            layer.norm1.weight.fill_(0.3)
            _pass_on(layer.self_attn, to_itself=layer is transformer.layers[0])
            _localise(layer.cross_attn_token_to_image)
            _localise(layer.cross_attn_image_to_token)
        _localise(transformer.final_attn_token_to_image)


def _cosine_patches(model: AdaptedSam, images: Tensor) -> None:
    patch, width = model.spec.patch, model.spec.width
    axis = torch.arange(patch) + 0.5
    waves = torch.cos(math.pi / patch * axis[None, :] * torch.arange(patch)[:, None])
    waves = waves / waves.norm(dim=1, keepdim=True)
    basis = torch.einsum("uy,vx->uvyx", waves, waves)
    colour = torch.tensor([[1.0, 1, 1], [1, 0, -1], [1, -2, 1]])
    colour = colour / colour.norm(dim=1, keepdim=True)
    kernels = torch.einsum("uvyx,cr->uvcryx", basis, colour)
    frequency = torch.arange(patch)
    order = (frequency[:, None] ** 2 + frequency[None, :] ** 2)[..., None].expand(-1, -1, 3).flatten().argsort()
    kernels = kernels.reshape(-1, 3, patch, patch)[order][:width].to(images)
    spread = nn.functional.conv2d(images, kernels, stride=patch).std(dim=(0, 2, 3)).clamp(min=1e-3)
    # Half-whitened: fine detail is lifted, but coarse colour still leads.
    kernels = kernels / spread.pow(0.7)[:, None, None, None]
    projection = model.sam.image_encoder.patch_embed.proj
    projection.weight.zero_()
    projection.weight[: len(kernels)] = kernels
    projection.bias.zero_()


def _localise(attention: nn.Module) -> None:
    embed, internal, heads = attention.embedding_dim, attention.internal_dim, attention.num_heads
    features = embed // 2
    per_head = internal // heads // 2
    sharp = math.sqrt(SHARPNESS * math.sqrt(2 * per_head) / per_head)
    tied = torch.zeros(internal, embed)
    for head in range(heads):
        for i in range(per_head):
            feature = (head * per_head + i) % features
            row = head * 2 * per_head + 2 * i
            tied[row, feature] = sharp
            tied[row + 1, features + feature] = sharp
    for projection in (attention.q_proj, attention.k_proj):
        projection.weight.mul_(0.3).add_(tied.to(projection.weight))
        projection.bias.zero_()
    nn.init.orthogonal_(attention.v_proj.weight)
    attention.out_proj.weight.copy_(attention.v_proj.weight.T)
    attention.v_proj.bias.zero_()
    attention.out_proj.bias.zero_()


def _pass_on(attention: nn.Module, to_itself: bool) -> None:
    """Self attention that hands content on unchanged: mostly each token's own, or the mean of all."""
    nn.init.orthogonal_(attention.v_proj.weight)
    attention.out_proj.weight.copy_(attention.v_proj.weight.T)
    attention.v_proj.bias.zero_()
    attention.out_proj.bias.zero_()
    if to_itself:
        nn.init.orthogonal_(attention.q_proj.weight)
        attention.k_proj.weight.copy_(attention.q_proj.weight)
