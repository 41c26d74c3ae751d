"""Teachers behind one protocol: the frozen transformers whose features a student learns to have."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own convention

from seglab.errors import CheckpointError, TrainingError
from seglab.models.device import compute
from seglab.models.hashing import tensor_hash
from seglab.models.sam import AdaptedSam
from seglab.models.spec import IMAGENET_MEAN, IMAGENET_STD
from seglab.models.student.alignment import resized
from seglab.models.student.timm_library import read_weights, timm_library

LEVELS = 4
"""Levels of a student, each paired with one block of its teacher."""
DINOV2 = "vit_base_patch14_dinov2"
"""KTDA's teacher (arXiv 2412.06664), by timm's name."""
DINOS = MappingProxyType(
    {
        (384, 8): "vit_small_patch8_224",
        (768, 8): "vit_base_patch8_224",
        (384, 14): "vit_small_patch14_dinov2",
        (768, 14): DINOV2,
    }
)
"""Networks of DINO (arXiv 2104.14294) and DINOv2 (arXiv 2304.07193) that are known: timm's names by width and patch."""
DINO_SIDE = 224
"""Of a window that a DINO looks at, pixels: what they were trained on, and a multiple of their patches."""


class Teacher(Protocol):
    """A frozen network that makes four maps of an image, early blocks first."""

    name: str
    width: int
    """Channels of the maps."""
    patch: int
    """Pixels that the image's sides are multiples of."""

    def identity(self) -> str:
        """Equal for teachers that make the same maps of the same pixels."""

    def features(self, rgb: Tensor) -> tuple[Tensor, ...]:
        """(B, H, W, 3) uint8 to LEVELS maps (B, width, h, w) on the teacher's own grid, float, without gradient."""


def taught_blocks(depth: int) -> tuple[int, ...]:
    """0-based blocks whose output a student sees: the last of each quarter, 2, 5, 8 and 11 of 12 as published.

    Raises:
        TrainingError: there are fewer blocks than levels.
    """
    if depth < LEVELS:
        raise TrainingError(f"a transformer of {depth} blocks cannot teach {LEVELS} levels; use a deeper one")
    return tuple(depth * (i + 1) // LEVELS - 1 for i in range(LEVELS))


class SamTeacher:
    """A SAM, usually a round's: plain or adapted.

    Its encoder has no norm after the last block, and tokens grow from block to block. So that all levels weigh alike in
    a squared error, each token is brought to mean 0 and variance 1 over its channels (a LayerNorm without weights).

    Args:
        model: frozen here, in eval mode; without extra bands.
        blocks: 0-based, LEVELS of them; `taught_blocks` if None.
        classes: what it maps, if it is a round's; in the order of its class prompts.
    """

    def __init__(self, model: AdaptedSam, blocks: Sequence[int] | None = None, classes: Sequence[str] = ()) -> None:
        if model.band_branch is not None:
            raise TrainingError("a student sees red, green and blue only; use a round without extra bands")
        self.model = model.requires_grad_(False).eval()
        self.name, self.width, self.patch = model.spec.name, model.spec.width, model.spec.patch
        self.blocks = taught_blocks(model.spec.depth) if blocks is None else tuple(blocks)
        self.classes = tuple(classes)

    def identity(self) -> str:
        """Of encoder, adapter and blocks."""
        return f"sam-{self.model.encoder_hash()}-{self.blocks}"

    def features(self, rgb: Tensor) -> tuple[Tensor, ...]:
        """See Teacher. A SAM with an absolute position sees the image stretched to the side that this is made for."""
        found: dict[int, Tensor] = {}
        spec = self.model.spec
        with torch.no_grad():
            image = self.model.preprocess(rgb)
            if spec.absolute_position:
                image = resized(image, (spec.image_size, spec.image_size))
            self.model.encode_suffix(self.model.encode_prefix(image, tap=found.__setitem__), tap=found.__setitem__)
            tokens = (F.layer_norm(found[i], found[i].shape[-1:]) for i in self.blocks)
            return tuple(x.permute(0, 3, 1, 2) for x in tokens)

    def chances(self, rgb: Tensor, prompts: Tensor | None = None) -> Tensor:
        """How probable each class is at every pixel.

        Args:
            rgb: (B, S, S, 3) uint8, S the side that the model is made for.
            prompts: (C, prompt_dim) class prompts; the round's own if None. A round that has none is of one class and
                maps it without prompts.

        Returns:
            (B, 1 + C, S, S) float32, the background first; they sum to 1.
        """
        with torch.inference_mode(), compute(self.model.device):
            embedding = self.model.encode(self.model.preprocess(rgb))
            if prompts is None and len(self.model.class_prompts) == 0:
                logits = self.model.decode_prompt_free(embedding).float()
            else:
                own = None if prompts is None else prompts.to(self.model.device)
                logits = self.model.decode_classes(embedding, own).float()
            logits = F.interpolate(logits, rgb.shape[1:3], mode="bilinear", align_corners=False)
            return torch.cat([torch.zeros_like(logits[:, :1]), logits], dim=1).softmax(1)


class DinoTeacher:
    """A DINO vision transformer of timm's: KTDA's teacher. The last map alone passes the final norm, as published.

    Args:
        network: timm's VisionTransformer, made for images of any size (`dynamic_img_size`).
        name: what it is called.
        blocks: 0-based, LEVELS of them, the last block last; `taught_blocks` if None.
    """

    def __init__(self, network: nn.Module, name: str = DINOV2, blocks: Sequence[int] | None = None) -> None:
        self.model = network.requires_grad_(False).eval()
        self.name, self.width, self.patch = name, network.embed_dim, network.patch_embed.patch_size[0]
        self.blocks = taught_blocks(len(network.blocks)) if blocks is None else tuple(blocks)

    def identity(self) -> str:
        """Of weights and blocks."""
        return f"dino-{self.name}-{tensor_hash(self.model.state_dict(keep_vars=True))}-{self.blocks}"

    def features(self, rgb: Tensor) -> tuple[Tensor, ...]:
        """See Teacher."""
        weight = next(self.model.parameters())
        image = rgb.to(weight.device).permute(0, 3, 1, 2).float()
        mean, std = (image.new_tensor(v)[:, None, None] for v in (IMAGENET_MEAN, IMAGENET_STD))
        with torch.no_grad():
            last, maps = self.model.forward_intermediates((image - mean) / std, indices=list(self.blocks))
            tokens = last[:, self.model.num_prefix_tokens :]
            return (*maps[:-1], tokens.transpose(1, 2).unflatten(2, maps[-1].shape[-2:]))


def load_dino(weights: str | Path, device: torch.device | None = None) -> DinoTeacher:
    """A DINO or DINOv2 from a weights file, timm's or that of its authors; which one the file itself tells.

    Args:
        weights: the file.
        device: where it shall be; the CPU if None.

    Raises:
        CheckpointError: the file is damaged, or of none of DINOS.
    """
    found = read_weights(weights)
    known = " or ".join(DINOS.values())
    stem = found.get("patch_embed.proj.weight")
    name = None if stem is None else DINOS.get((stem.shape[0], stem.shape[-1]))
    if name is None:
        raise CheckpointError(f"{str(weights)!r} is of no network that is known; give the weights of {known}")
    network = timm_library().create_model(name, pretrained=False, num_classes=0, dynamic_img_size=True)
    from timm.models.vision_transformer import checkpoint_filter_fn

    try:
        network.load_state_dict(checkpoint_filter_fn(found, network))
    except (RuntimeError, KeyError, AttributeError) as error:
        raise CheckpointError(f"{str(weights)!r} is not all of {name} ({error}); fetch the file again") from error
    return DinoTeacher(network.to(device or torch.device("cpu")), name)


def unsupervised_backbone(model: AdaptedSam, dino: str | Path | None = None) -> tuple[Teacher, int]:
    """The frozen network whose last map is compared where there are no labels.

    Of a SAM it is that of the block before the last one: the last one makes features for the decoder and tells kinds of
    ground less well apart.

    Args:
        model: the SAM.
        dino: file of a DINO's weights, to compare that network's features instead: see load_dino.

    Returns:
        The network, and the side in pixels of the windows that it looks at.

    Raises:
        CheckpointError, TrainingError: see load_dino and SamTeacher.
    """
    if dino is not None:
        return load_dino(dino, model.device), DINO_SIDE
    blocks = taught_blocks(model.spec.depth)
    return SamTeacher(model, (*blocks[:-1], model.spec.depth - 2)), model.spec.image_size
