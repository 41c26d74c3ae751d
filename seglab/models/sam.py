"""Segment Anything, opened up: a frozen prefix, an adapted suffix, click prompts and class prompts.

The networks are segment-anything's own classes. What is ours is the order in which they are called: the encoder is
split at block k so that the activations before k can be cached, and one decoder call serves prompts of many images.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from seglab.models.adapters.base import Adapter
from seglab.models.spec import (
    BOX_BOTTOM_RIGHT,
    BOX_LOGIT,
    BOX_TOP_LEFT,
    IMAGENET_MEAN,
    IMAGENET_STD,
    NEGATIVE,
    PAD,
    POSITIVE,
    SamSpec,
)
from seglab.models.torchvision_ops import ensure_torchvision_operators

ensure_torchvision_operators()

from segment_anything.modeling import (  # noqa: E402
    ImageEncoderViT,
    MaskDecoder,
    PromptEncoder,
    Sam,
    TwoWayTransformer,
)


def build_sam(spec: SamSpec) -> Sam:
    """A SAM of that shape with fresh weights."""
    grid = (spec.grid, spec.grid)
    return Sam(
        image_encoder=ImageEncoderViT(
            img_size=spec.image_size,
            patch_size=spec.patch,
            embed_dim=spec.width,
            depth=spec.depth,
            num_heads=spec.heads,
            out_chans=spec.prompt_dim,
            norm_layer=_layer_norm,
            use_abs_pos=spec.absolute_position,
            use_rel_pos=True,
            window_size=spec.attention_window,
            global_attn_indexes=spec.global_blocks,
        ),
        prompt_encoder=PromptEncoder(
            embed_dim=spec.prompt_dim,
            image_embedding_size=grid,
            input_image_size=(spec.image_size, spec.image_size),
            mask_in_chans=16,
        ),
        mask_decoder=MaskDecoder(
            num_multimask_outputs=3,
            transformer=TwoWayTransformer(
                depth=2, embedding_dim=spec.prompt_dim, mlp_dim=spec.decoder_mlp, num_heads=8
            ),
            transformer_dim=spec.prompt_dim,
            iou_head_depth=3,
            iou_head_hidden_dim=spec.prompt_dim,
        ),
        pixel_mean=list(IMAGENET_MEAN),
        pixel_std=list(IMAGENET_STD),
    ).eval()


def _layer_norm(width: int) -> nn.LayerNorm:
    return nn.LayerNorm(width, eps=1e-6)


@dataclass(frozen=True)
class Prefix:
    """What the frozen part of the encoder makes of a batch of images: all that the adapted part needs."""

    tokens: Tensor
    """(B, h, w, width): the input of block k."""
    patches: Tensor
    """(B, h, w, width): patch embeddings before the position is added."""
    image: Tensor
    """(B, 3, H, W): the normalised input, from which adapters take their high-pass image."""

    def stored(self) -> Prefix:
        """The same in fp16, the precision of the cache."""
        return Prefix(self.tokens.half(), self.patches.half(), self.image.half())

    def to(self, device: torch.device, dtype: torch.dtype) -> Prefix:
        """The same on a device, in a precision for computing."""
        return Prefix(*(t.to(device, dtype) for t in (self.tokens, self.patches, self.image)))


class AdaptedSam(nn.Module):
    """A SAM with an optional adapter from block k on, and one learned prompt per class.

    Args:
        spec: the network's shape.
        adapt_from: k, where the frozen prefix ends; all blocks are prefix if None.

    Attributes:
        spec: the network's shape.
        sam: segment-anything's own module, whose state dict has the official keys.
        adapter: the adapter, or None for plain SAM.
        adapt_from: k, the first block that is not part of the frozen prefix.
        class_prompts: (C, prompt_dim), one sparse prompt embedding per class.
    """

    def __init__(self, spec: SamSpec, adapt_from: int | None = None) -> None:
        super().__init__()
        self.spec = spec
        self.sam = build_sam(spec)
        self.adapter: Adapter | None = None
        self.adapt_from = spec.depth if adapt_from is None else adapt_from
        self.class_prompts = nn.Parameter(torch.zeros(0, spec.prompt_dim))

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.class_prompts.device

    def preprocess(self, rgb: Tensor) -> Tensor:
        """(B, H, W, 3) uint8 to the normalised (B, 3, H, W) float input."""
        image = rgb.to(self.device).permute(0, 3, 1, 2).float()
        return (image - self.sam.pixel_mean) / self.sam.pixel_std

    # -- encoder

    def encode_prefix(self, image: Tensor) -> Prefix:
        """Run the frozen blocks, those before `adapt_from`.

        Args:
            image: (B, 3, H, W) normalised.
        """
        encoder = self.sam.image_encoder
        patches = encoder.patch_embed(image)
        tokens = patches if encoder.pos_embed is None else patches + encoder.pos_embed
        for block in encoder.blocks[: self.adapt_from]:
            tokens = block(tokens)
        return Prefix(tokens, patches, image)

    def encode_suffix(self, prefix: Prefix) -> Tensor:
        """Run the adapted blocks and the neck.

        Returns:
            (B, prompt_dim, h, w) image embedding.
        """
        encoder = self.sam.image_encoder
        tokens = prefix.tokens
        branch = None if self.adapter is None else self.adapter.branch(prefix.patches, prefix.image)
        for i in range(self.adapt_from, self.spec.depth):
            if self.adapter is not None:
                tokens = self.adapter.before_block(i, tokens, branch)
            tokens = encoder.blocks[i](tokens)
        return encoder.neck(tokens.permute(0, 3, 1, 2))

    def encode(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) normalised to (B, prompt_dim, h, w), with no rounding in between."""
        return self.encode_suffix(self.encode_prefix(image))

    # -- prompts

    def embed_points(self, coords: Tensor, labels: Tensor) -> Tensor:
        """Sparse prompt embeddings.

        Args:
            coords: (B, N, 2) (x, y) in model pixels, continuous: the first pixel's centre is (0.5, 0.5).
            labels: (B, N) int: POSITIVE, NEGATIVE, BOX_TOP_LEFT, BOX_BOTTOM_RIGHT, or PAD for no point.

        Returns:
            (B, N, prompt_dim).
        """
        encoder = self.sam.prompt_encoder
        size = encoder.input_image_size
        labels = labels.unsqueeze(-1)
        sparse = encoder.pe_layer.forward_with_coords(coords, size) * (labels != PAD)
        sparse = sparse + encoder.not_a_point_embed.weight * (labels == PAD)
        for label, embedding in enumerate(encoder.point_embeddings):
            sparse = sparse + embedding.weight * (labels == label)
        return sparse

    def dense_position(self, height: int, width: int) -> Tensor:
        """(1, prompt_dim, height, width) positions of tokens, at the scale that points are encoded with."""
        encoder = self.sam.prompt_encoder
        rows = (torch.arange(height, device=self.device) + 0.5) * self.spec.patch
        cols = (torch.arange(width, device=self.device) + 0.5) * self.spec.patch
        grid = torch.stack(torch.meshgrid(rows, cols, indexing="ij")[::-1], dim=-1)
        return encoder.pe_layer.forward_with_coords(grid, encoder.input_image_size).permute(2, 0, 1)[None]

    def exemplar(self, embedding: Tensor, mask: Tensor) -> Tensor:
        """The mean image embedding over a mask: what a new class's prompt starts from.

        Args:
            embedding: (D, h, w).
            mask: (H, W) bool or float weights, any size.

        Returns:
            (D,); zeros for an empty mask.
        """
        weight = nn.functional.adaptive_avg_pool2d(mask[None, None].to(embedding), embedding.shape[-2:])[0, 0]
        return (embedding * weight).sum((1, 2)) / weight.sum().clamp(min=1e-6)

    # -- decoder

    def decode_tokens(
        self,
        embedding: Tensor,
        sparse: Tensor,
        masks: Tensor | None = None,
        image_index: Tensor | None = None,
        masked: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """SAM's mask decoder for prompts of one or many images.

        Args:
            embedding: (I, D, h, w).
            sparse: (B, N, D) sparse prompt embeddings; N may be 0 (prompt-free).
            masks: (B, 1, 4h, 4w) logits of a previous mask, or None.
            image_index: (B,) which image each prompt belongs to; None when I is 1 or B.
            masked: (B,) bool, which prompts have a mask; None when all or none have.

        Returns:
            logits (B, 4, 4h, 4w) and predicted IoU (B, 4); the first candidate is the single-mask output.
        """
        decoder, encoder = self.sam.mask_decoder, self.sam.prompt_encoder
        count, (height, width) = sparse.shape[0], embedding.shape[-2:]
        if image_index is not None:
            embedding = embedding[image_index]
        source = embedding.expand(count, -1, -1, -1)
        dense = encoder.no_mask_embed.weight[:, :, None, None]
        if masks is not None:
            given = encoder.mask_downscaling(masks)
            dense = given if masked is None else torch.where(masked[:, None, None, None], given, dense)
        source = source + dense
        output_tokens = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
        tokens = torch.cat([output_tokens.expand(count, -1, -1), sparse], dim=1)
        position = self.dense_position(height, width).to(source.dtype).expand(count, -1, -1, -1)
        hidden, source = decoder.transformer(source, position, tokens)
        upscaled = decoder.output_upscaling(source.transpose(1, 2).reshape(count, -1, height, width))
        weights = torch.stack([mlp(hidden[:, 1 + i]) for i, mlp in enumerate(decoder.output_hypernetworks_mlps)], dim=1)
        logits = torch.einsum("bnc,bchw->bnhw", weights, upscaled)
        return logits, decoder.iou_prediction_head(hidden[:, 0])

    def decode(
        self,
        embedding: Tensor,
        coords: Tensor,
        labels: Tensor,
        masks: Tensor | None = None,
        image_index: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Three candidate masks per prompt: see `embed_points` and `decode_tokens` for the arguments.

        Returns:
            logits (B, 3, 4h, 4w), predicted IoU (B, 3).
        """
        masked = None
        if masks is None and self.spec.box_as_mask:
            masked = (labels == BOX_TOP_LEFT).any(dim=1)
            masks = self._filled_boxes(coords, labels, embedding.shape[-2:]) if masked.any() else None
        sparse = self.embed_points(coords, labels)
        if self.spec.click_content:
            sparse = torch.cat([sparse, self._content(embedding, coords, labels, image_index)], dim=1)
        logits, iou = self.decode_tokens(embedding, sparse, masks, image_index, masked)
        return logits[:, 1:], iou[:, 1:]

    def _content(self, embedding: Tensor, coords: Tensor, labels: Tensor, image_index: Tensor | None) -> Tensor:
        """(B, N, D) image embedding at each click; a - click is marked as such, anything else is "not a point"."""
        encoder = self.sam.prompt_encoder
        if image_index is not None:
            embedding = embedding[image_index]
        embedding = embedding.expand(len(coords), -1, -1, -1)
        side = coords.new_tensor([embedding.shape[-1], embedding.shape[-2]]) * self.spec.patch
        at = (2 * coords / side - 1).to(embedding.dtype)[:, None]
        found = nn.functional.grid_sample(embedding, at, padding_mode="border", align_corners=False)
        found = found[:, :, 0].transpose(1, 2)
        labels = labels.unsqueeze(-1)
        found = found + encoder.point_embeddings[NEGATIVE].weight * (labels == NEGATIVE)
        is_click = (labels == POSITIVE) | (labels == NEGATIVE)
        return torch.where(is_click, found, encoder.not_a_point_embed.weight)

    def _filled_boxes(self, coords: Tensor, labels: Tensor, grid: tuple[int, int]) -> Tensor:
        """(B, 1, 4h, 4w) logits: positive inside each prompt's box; what stands where there is no box is not used."""
        step = self.spec.patch / 4
        rows = (torch.arange(4 * grid[0], device=coords.device) + 0.5) * step
        cols = (torch.arange(4 * grid[1], device=coords.device) + 0.5) * step
        left_top = (coords * (labels == BOX_TOP_LEFT)[..., None]).sum(1)[:, :, None]
        right_bottom = (coords * (labels == BOX_BOTTOM_RIGHT)[..., None]).sum(1)[:, :, None]
        across = (cols >= left_top[:, 0]) & (cols <= right_bottom[:, 0])
        down = (rows >= left_top[:, 1]) & (rows <= right_bottom[:, 1])
        inside = down[:, None, :, None] & across[:, None, None, :]
        return torch.where(inside, BOX_LOGIT, -BOX_LOGIT)

    def decode_classes(self, embedding: Tensor, prompts: Tensor | None = None) -> Tensor:
        """Logits of every class against the background, whose logit is 0.

        Args:
            embedding: (B, D, h, w).
            prompts: (C, D) class prompts; the model's own if None.

        Returns:
            (B, C, 4h, 4w).
        """
        prompts = self.class_prompts if prompts is None else prompts
        images, classes = embedding.shape[0], prompts.shape[0]
        index = torch.arange(images, device=embedding.device).repeat_interleave(classes)
        sparse = prompts[:, None].repeat(images, 1, 1)
        logits, _ = self.decode_tokens(embedding, sparse, image_index=index)
        return logits[:, 0].unflatten(0, (images, classes))

    def decode_prompt_free(self, embedding: Tensor) -> Tensor:
        """TransLandSeg's binary mode: no sparse token at all, one logit per pixel.

        Args:
            embedding: (B, D, h, w).

        Returns:
            (B, 1, 4h, 4w).
        """
        sparse = embedding.new_zeros(embedding.shape[0], 0, self.spec.prompt_dim)
        return self.decode_tokens(embedding, sparse)[0][:, :1]

    # -- what a round trains

    def branch_off(self) -> AdaptedSam:
        """A copy to train: its own adapter, decoder and prompts, the same frozen encoder in memory."""
        encoder = self.sam.image_encoder
        return copy.deepcopy(self, {id(encoder): encoder})

    def attach(self, adapter: Adapter) -> None:
        """Put an adapter beside the encoder's blocks, from its `adapt_from` on."""
        self.adapter = adapter.to(self.device)
        self.adapt_from = adapter.adapt_from

    def trained_parameters(self) -> dict[str, nn.Parameter]:
        """Everything a round trains, by name: adapter, mask decoder, no_mask_embed, class prompts.

        TransLandSeg trains the decoder in full and keeps the rest of SAM frozen.
        """
        kept = ("adapter.", "sam.mask_decoder.", "sam.prompt_encoder.no_mask_embed.", "class_prompts")
        return {name: p for name, p in self.named_parameters() if name.startswith(kept)}

    def freeze_base(self) -> None:
        """Let gradients reach only `trained_parameters`."""
        self.requires_grad_(False)
        for parameter in self.trained_parameters().values():
            parameter.requires_grad_(True)

    def encoder_hash(self) -> str:
        """Identifies what `encode` computes: shape, base encoder, adapter and its place."""
        encoder = self.sam.image_encoder.state_dict()
        adapter = {} if self.adapter is None else self.adapter.state_dict()
        return f"{self.adapt_from}-{tensor_hash(encoder)}-{tensor_hash(adapter)}"

    def prefix_hash(self) -> str:
        """Identifies what `encode_prefix` computes."""
        encoder = self.sam.image_encoder
        frozen = [encoder.patch_embed.state_dict()]
        frozen += [block.state_dict() for block in encoder.blocks[: self.adapt_from]]
        if encoder.pos_embed is not None:
            frozen.append({"pos_embed": encoder.pos_embed})
        return f"{self.adapt_from}-" + "-".join(tensor_hash(part)[:12] for part in frozen)


def tensor_hash(tensors: dict[str, Tensor]) -> str:
    """SHA-256 over names, shapes and values."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.view(torch.uint8).numpy().tobytes() if tensor.numel() else b"")
    return digest.hexdigest()


def count_parameters(parameters: Iterable[nn.Parameter]) -> int:
    """How many numbers they hold."""
    return sum(p.numel() for p in parameters)
