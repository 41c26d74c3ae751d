"""Segment Anything, opened up: a frozen prefix, an adapted suffix, click prompts and class prompts.

The networks are segment-anything's own classes. What is ours is the order in which they are called: the encoder is
split at block k so that the activations before k can be cached, and one decoder call serves prompts of many images.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import fields

import torch
from torch import Tensor, nn

from seglab.errors import BandError
from seglab.models.adapters.bands import BandBranch
from seglab.models.adapters.base import Adapter
from seglab.models.attention import run_block
from seglab.models.build import build_sam, frozen_parts, with_own_suffix
from seglab.models.decoder import ALL_MASKS, CANDIDATES, SINGLE_MASK, PreparedImage, decode, prepare
from seglab.models.hashing import tensor_hash
from seglab.models.prefix import Prefix, high_pass
from seglab.models.spec import (
    BOX_BOTTOM_RIGHT,
    BOX_LOGIT,
    BOX_TOP_LEFT,
    NEGATIVE,
    PAD,
    POSITIVE,
    ModelOrigin,
    SamSpec,
)

Tap = Callable[[int, Tensor], None]
"""Is told a block's index and the tokens after it, (B, h, w, width)."""


class AdaptedSam(nn.Module):
    """A SAM with an optional adapter from block k on, and one learned prompt per class.

    Args:
        spec: the network's shape.
        adapt_from: k, where the frozen prefix ends; all blocks are prefix if None.
        extra_bands: bands beyond red, green and blue that enter at block k.

    Attributes:
        spec: the network's shape.
        sam: segment-anything's own module, whose state dict has the official keys.
        adapter: the adapter, or None for plain SAM.
        band_branch: the way in for extra bands, or None where there are none.
        adapt_from: k, the first block that is not part of the frozen prefix.
        class_prompts: (C, prompt_dim), one sparse prompt embedding per class.
        origin: how another process loads the same base; None for a model that was not loaded by name.
        run_block: what runs a block of the encoder; may be replaced by a compiled one.
    """

    def __init__(self, spec: SamSpec, adapt_from: int | None = None, extra_bands: int = 0) -> None:
        super().__init__()
        self.spec = spec
        self.sam = build_sam(spec)
        self.adapter: Adapter | None = None
        self.band_branch = BandBranch(extra_bands, spec.width, spec.patch) if extra_bands else None
        self.adapt_from = spec.depth if adapt_from is None else adapt_from
        self.class_prompts = nn.Parameter(torch.zeros(0, spec.prompt_dim))
        self.origin: ModelOrigin | None = None
        self.run_block: Callable[..., Tensor] = run_block

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.class_prompts.device

    def preprocess(self, rgb: Tensor) -> Tensor:
        """(B, H, W, 3) uint8 to the normalised (B, 3, H, W) float input."""
        image = rgb.to(self.device).permute(0, 3, 1, 2).float()
        return (image - self.sam.pixel_mean) / self.sam.pixel_std

    # -- encoder

    def encode_prefix(self, image: Tensor, extra: Tensor | None = None, tap: Tap | None = None) -> Prefix:
        """Run the frozen blocks, those before `adapt_from`.

        Args:
            image: (B, 3, H, W) normalised.
            extra: (B, E, H, W) further bands, scaled to about -1 to 1 and finite; handed on as they are.
            tap: is told every block's index and the tokens after it.
        """
        encoder = self.sam.image_encoder
        patches = encoder.patch_embed(image)
        tokens = patches if encoder.pos_embed is None else patches + encoder.pos_embed
        for i, block in enumerate(encoder.blocks[: self.adapt_from]):
            tokens = self.run_block(block, tokens)
            if tap is not None:
                tap(i, tokens)
        return Prefix(tokens, patches, high_pass(image), extra)

    def encode_suffix(self, prefix: Prefix, tap: Tap | None = None) -> Tensor:
        """Run the adapted blocks and the neck.

        Args:
            prefix: from `encode_prefix`.
            tap: is told every block's index and the tokens after it.

        Returns:
            (B, prompt_dim, h, w) image embedding.

        Raises:
            BandError: the prefix has other extra bands than the model takes.
        """
        encoder, adapter = self.sam.image_encoder, self.adapter
        tokens = self._with_extra_bands(prefix)
        branch = None if adapter is None else adapter.branch(prefix.patches, prefix.high_pass)
        for i in range(self.adapt_from, self.spec.depth):
            if adapter is not None:
                tokens = adapter.before_block(i, tokens, branch)
            tokens = self.run_block(encoder.blocks[i], tokens, i, adapter)
            if tap is not None:
                tap(i, tokens)
        embedding = encoder.neck(tokens.permute(0, 3, 1, 2))
        return embedding if adapter is None else adapter.after_neck(embedding)

    def _with_extra_bands(self, prefix: Prefix) -> Tensor:
        """(B, h, w, width): the input of block k, the extra bands' share added."""
        given = 0 if prefix.extra is None else prefix.extra.shape[1]
        taken = 0 if self.band_branch is None else self.band_branch.extra
        if given != taken:
            raise BandError(
                f"the model takes {taken} extra bands and was given {given}; open the scene with the extra_bands "
                "that the model was made for"
            )
        return prefix.tokens if self.band_branch is None else prefix.tokens + self.band_branch(prefix.extra)

    def encode(self, image: Tensor, extra: Tensor | None = None) -> Tensor:
        """(B, 3, H, W) normalised to (B, prompt_dim, h, w), with no rounding in between: see `encode_prefix`."""
        return self.encode_suffix(self.encode_prefix(image, extra))

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

    def prepare(self, embedding: Tensor) -> PreparedImage:
        """The part of decoding that needs no prompt, for images that many prompts in a row are given for.

        Args:
            embedding: (I, D, h, w).

        Returns:
            What `decode` and `decode_tokens` take in the embedding's place, as long as the decoder's weights stay.
        """
        return prepare(self.sam, embedding, self.dense_position(*embedding.shape[-2:]))

    def decode_tokens(
        self,
        embedding: Tensor | PreparedImage,
        sparse: Tensor,
        masks: Tensor | None = None,
        image_index: Tensor | None = None,
        masked: Tensor | None = None,
        outputs: slice = ALL_MASKS,
    ) -> tuple[Tensor, Tensor]:
        """SAM's mask decoder for prompts of one or many images.

        Args:
            embedding: (I, D, h, w), or what `prepare` made of it.
            sparse: (B, N, D) sparse prompt embeddings; N may be 0 (prompt-free).
            masks: (B, 1, 4h, 4w) logits of a previous mask, or None.
            image_index: (B,) which image each prompt belongs to; None when I is 1 or B.
            masked: (B,) bool, which prompts have a mask; None when all or none have.
            outputs: which of the 4 masks are wanted.

        Returns:
            logits (B, 4, 4h, 4w) and predicted IoU (B, 4); the first candidate is the single-mask output. Only the
            masks of `outputs`, and all four IoUs.
        """
        encoder, dense = self.sam.prompt_encoder, None
        prepared = embedding if isinstance(embedding, PreparedImage) else self.prepare(embedding)
        if masks is not None:
            dense = encoder.mask_downscaling(masks)
            if masked is not None:
                none = encoder.no_mask_embed.weight[:, :, None, None]
                dense = torch.where(masked[:, None, None, None], dense, none)
        return decode(self.sam, prepared, sparse, dense, image_index, outputs)

    def decode(
        self,
        embedding: Tensor | PreparedImage,
        coords: Tensor,
        labels: Tensor,
        masks: Tensor | None = None,
        image_index: Tensor | None = None,
        masked: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Three candidate masks per prompt: see `embed_points` and `decode_tokens` for the arguments.

        Returns:
            logits (B, 3, 4h, 4w), predicted IoU (B, 3).
        """
        content = embedding.embedding if isinstance(embedding, PreparedImage) else embedding
        if masks is None and self.spec.box_as_mask:
            masks, masked = self.filled_boxes(coords, labels, content.shape[-2:])
            masks = masks if masked.any() else None
        sparse = self.embed_points(coords, labels)
        if self.spec.click_content:
            sparse = torch.cat([sparse, self._content(content, coords, labels, image_index)], dim=1)
        logits, iou = self.decode_tokens(embedding, sparse, masks, image_index, masked, CANDIDATES)
        return logits, iou[:, CANDIDATES]

    def _content(self, embedding: Tensor, coords: Tensor, labels: Tensor, image_index: Tensor | None) -> Tensor:
        """(B, N, D) image embedding at each click; a - click is marked as such, anything else is "not a point"."""
        encoder = self.sam.prompt_encoder
        if image_index is not None:
            embedding = embedding[image_index]
        embedding = embedding.expand(len(coords), -1, -1, -1)
        across, down = (2 * coords[..., i] / (embedding.shape[-1 - i] * self.spec.patch) - 1 for i in (0, 1))
        at = torch.stack([across, down], dim=-1).to(embedding.dtype)[:, None]
        found = nn.functional.grid_sample(embedding, at, padding_mode="border", align_corners=False)
        found = found[:, :, 0].transpose(1, 2)
        labels = labels.unsqueeze(-1)
        found = found + encoder.point_embeddings[NEGATIVE].weight * (labels == NEGATIVE)
        is_click = (labels == POSITIVE) | (labels == NEGATIVE)
        return torch.where(is_click, found, encoder.not_a_point_embed.weight)

    def filled_boxes(self, coords: Tensor, labels: Tensor, grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Boxes as masks, for the embedding's grid (h, w).

        Returns:
            (B, 1, 4h, 4w) logits, positive inside each prompt's box, and (B,) bool, which prompts have a box: what
            stands in the others is not to be used.
        """
        step = self.spec.patch / 4
        rows = (torch.arange(4 * grid[0], device=coords.device) + 0.5) * step
        cols = (torch.arange(4 * grid[1], device=coords.device) + 0.5) * step
        left_top = (coords * (labels == BOX_TOP_LEFT)[..., None]).sum(1)[:, :, None]
        right_bottom = (coords * (labels == BOX_BOTTOM_RIGHT)[..., None]).sum(1)[:, :, None]
        across = (cols >= left_top[:, 0]) & (cols <= right_bottom[:, 0])
        down = (rows >= left_top[:, 1]) & (rows <= right_bottom[:, 1])
        inside = down[:, None, :, None] & across[:, None, None, :]
        return torch.where(inside, BOX_LOGIT, -BOX_LOGIT), (labels == BOX_TOP_LEFT).any(dim=1)

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
        logits, _ = self.decode_tokens(embedding, sparse, image_index=index, outputs=SINGLE_MASK)
        return logits[:, 0].unflatten(0, (images, classes))

    def decode_prompt_free(self, embedding: Tensor) -> Tensor:
        """TransLandSeg's binary mode: no sparse token at all, one logit per pixel.

        Args:
            embedding: (B, D, h, w).

        Returns:
            (B, 1, 4h, 4w).
        """
        sparse = embedding.new_zeros(embedding.shape[0], 0, self.spec.prompt_dim)
        return self.decode_tokens(embedding, sparse, outputs=SINGLE_MASK)[0]

    # -- what a round trains

    def branch_off(self) -> AdaptedSam:
        """A copy to train: all that a round trains is its own, the frozen encoder is the same in memory."""
        encoder = self.sam.image_encoder
        tuned = self.adapter is not None and self.adapter.trains_suffix
        shared = frozen_parts(encoder, self.adapt_from) if tuned else [encoder]
        return copy.deepcopy(self, {id(part): part for part in shared})

    def attach(self, adapter: Adapter) -> None:
        """Put an adapter beside the encoder's blocks, from its `adapt_from` on.

        Where the adapter trains those blocks themselves, this model gets its own copy of them: models that shared them
        stay as they are.
        """
        self.adapter = adapter.to(self.device)
        self.adapt_from = adapter.adapt_from
        if adapter.trains_suffix:
            self.sam.image_encoder = with_own_suffix(self.sam.image_encoder, self.adapt_from)

    def trained_parameters(self) -> dict[str, nn.Parameter]:
        """Everything a round trains, by name: adapter, band branch, mask decoder, no_mask_embed, class prompts.

        TransLandSeg trains the decoder in full and keeps the rest of SAM frozen. An adapter that trains the suffix
        adds the encoder's blocks from `adapt_from` on and the neck, and at block 0 the patch embedding and position.
        """
        kept = ["adapter.", "band_branch.", "sam.mask_decoder.", "sam.prompt_encoder.no_mask_embed.", "class_prompts"]
        if self.adapter is not None and self.adapter.trains_suffix:
            blocks = range(self.adapt_from, self.spec.depth)
            kept += ["sam.image_encoder.neck.", *(f"sam.image_encoder.blocks.{i}." for i in blocks)]
            kept += ["sam.image_encoder."] if self.adapt_from == 0 else []
        return {name: p for name, p in self.named_parameters() if name.startswith(tuple(kept))}

    def freeze_base(self) -> None:
        """Let gradients reach only `trained_parameters`."""
        self.requires_grad_(False)
        for parameter in self.trained_parameters().values():
            parameter.requires_grad_(True)

    # -- identity: see seglab.models.hashing for what is remembered

    def base_hash(self) -> str:
        """Identifies SAM's weights and shape. Ask the model before any round: rounds train parts of them."""
        return _hash(self.sam, self.spec)

    def encoder_hash(self) -> str:
        """Identifies what `encode` computes: shape, base encoder, adapter and its place, extra bands."""
        adapter = "plain" if self.adapter is None else f"{self.adapter.name}-{_hash(self.adapter)}"
        bands = "rgb" if self.band_branch is None else _hash(self.band_branch)
        return f"{self.adapt_from}-{_hash(self.sam.image_encoder, self.spec)}-{adapter}-{bands}"

    def prefix_hash(self) -> str:
        """Identifies what `encode_prefix` computes."""
        encoder = self.sam.image_encoder
        frozen = {f"patch_embed.{name}": t for name, t in _tensors(encoder.patch_embed).items()}
        frozen |= {f"blocks.{name}": t for name, t in _tensors(encoder.blocks[: self.adapt_from]).items()}
        if encoder.pos_embed is not None:
            frozen["pos_embed"] = encoder.pos_embed
        return f"{self.adapt_from}-{tensor_hash(frozen, _shape(self.spec))}"


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    """A module's weights by name: the parameters themselves, whose digests are remembered."""
    return module.state_dict(keep_vars=True)


def _hash(module: nn.Module, spec: SamSpec | None = None) -> str:
    return tensor_hash(_tensors(module), "" if spec is None else _shape(spec))


def _shape(spec: SamSpec) -> str:
    """What weights alone do not tell: heads, windows, which blocks see the whole input.

    Fields at their defaults are left out: a new one does not part older rounds from their model.
    """
    said = {field.name: getattr(spec, field.name) for field in fields(spec) if field.name != "name"}
    return repr(sorted((name, value) for name, value in said.items() if value != _DEFAULTS.get(name)))


_DEFAULTS = {field.name: field.default for field in fields(SamSpec)}


def count_parameters(parameters: Iterable[nn.Parameter]) -> int:
    """How many numbers they hold."""
    return sum(p.numel() for p in parameters)
