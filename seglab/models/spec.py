"""The shapes of the Segment Anything models, and the numbers that belong to them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

PAD, NEGATIVE, POSITIVE, BOX_TOP_LEFT, BOX_BOTTOM_RIGHT = -1, 0, 1, 2, 3
"""Prompt labels, as in segment-anything's ONNX export."""

BOX_LOGIT = 4.0
"""Logit of a filled box given as a mask."""

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)
"""Per channel, of 0..255 RGB: SAM's normalisation."""


@dataclass(frozen=True)
class SamSpec:
    """The shape of a SAM."""

    name: str
    image_size: int
    """Side of the square input, pixels."""
    patch: int
    """Side of a patch, pixels."""
    width: int
    """Channels of the encoder's tokens."""
    depth: int
    """Encoder blocks."""
    heads: int
    """Attention heads of the encoder."""
    global_blocks: tuple[int, ...]
    """Blocks whose attention sees the whole input; the others see windows."""
    attention_window: int = 14
    """Side of an attention window, tokens."""
    prompt_dim: int = 256
    """Channels of embeddings, prompts and decoder."""
    decoder_mlp: int = 2048
    """Hidden channels of the decoder's MLPs."""
    absolute_position: bool = True
    """Whether a learned absolute position is added to the patch embeddings."""
    box_as_mask: bool = False
    """Whether a box is also given to the decoder as a filled mask: a small model learns "inside" from it at once."""
    click_content: bool = False
    """Whether a click also hands the image embedding at its place to the decoder, as a class prompt would."""

    @property
    def grid(self) -> int:
        """Side of the embedding, tokens."""
        return self.image_size // self.patch

    @property
    def mask_size(self) -> int:
        """Side of the decoder's masks, pixels."""
        return 4 * self.grid


@dataclass(frozen=True)
class ModelOrigin:
    """How a base model is loaded again, in another process: `load_model(origin.name, checkpoint=origin.checkpoint)`."""

    name: str
    """Its name in the registry."""
    checkpoint: Path | None = None
    """The weights file that was given for it, absolute; None for the packaged or the official weights."""


_TINY = SamSpec(
    "tiny", 224, 8, 256, 8, 8, (3, 7),
    attention_window=14, prompt_dim=128, decoder_mlp=512,
    absolute_position=False, box_as_mask=True, click_content=True,
)  # fmt: skip

SPECS: dict[str, SamSpec] = {
    spec.name: spec
    for spec in (
        SamSpec("vit_b", 1024, 16, 768, 12, 12, (2, 5, 8, 11)),
        SamSpec("vit_l", 1024, 16, 1024, 24, 16, (5, 11, 17, 23)),
        SamSpec("vit_h", 1024, 16, 1280, 32, 16, (7, 15, 23, 31)),
        _TINY,
        replace(_TINY, name="tiny_unseen"),
    )
}
