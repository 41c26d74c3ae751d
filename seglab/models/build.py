"""segment-anything's networks, built to a shape, and copied as far as training will change them."""

from __future__ import annotations

import copy

from torch import nn

from seglab.models.spec import IMAGENET_MEAN, IMAGENET_STD, SamSpec
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


def frozen_parts(encoder: ImageEncoderViT, adapt_from: int) -> list[nn.Module | nn.Parameter]:
    """The parts of an encoder that full tuning from block `adapt_from` on leaves alone; at 0 it leaves none."""
    if adapt_from == 0:
        return []
    position = [] if encoder.pos_embed is None else [encoder.pos_embed]
    return [encoder.patch_embed, *position, *encoder.blocks[:adapt_from]]


def with_own_suffix(encoder: ImageEncoderViT, adapt_from: int) -> ImageEncoderViT:
    """An encoder with copies of what full tuning from block `adapt_from` on trains; the rest is the same in memory."""
    return copy.deepcopy(encoder, {id(part): part for part in frozen_parts(encoder, adapt_from)})
