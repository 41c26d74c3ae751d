"""The shapes of the students, by name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal, get_args

from seglab.errors import ModelNotFoundError

ENCODERS = MappingProxyType(
    {
        "convnext_atto": (40, 80, 160, 320),
        "convnext_femto": (48, 96, 192, 384),
        "convnext_pico": (64, 128, 256, 512),
        "convnext_nano": (80, 160, 320, 640),
        "convnext_tiny": (96, 192, 384, 768),
        "convnext_small": (96, 192, 384, 768),
        "convnext_base": (128, 256, 512, 1024),
    }
)
"""timm's ConvNeXts and the channels of their four stages."""
STRIDES = (4, 8, 16, 32)
"""Pixels per cell of those stages."""

Modulation = Literal["vit", "mlp", "none"]
"""What the Feature Modulation Module is made of; "none" leaves it out (an ablation)."""


@dataclass(frozen=True)
class StudentSpec:
    """The shape of a student; the defaults are KTDA's (arXiv 2412.06664) beside the input's size.

    Raises:
        ModelNotFoundError: no such encoder or modulation.
    """

    name: str
    encoder: str = "convnext_base"
    """A key of ENCODERS."""
    image_size: int = 448
    """Side of the square input, pixels: a multiple of 32 and of `token`. The network takes other sizes, too."""
    width: int = 768
    """Channels that all levels are aligned to: the teacher's, as published."""
    token: int = 14
    """Side of a cell that all levels are aligned to, pixels: the teacher's patch, as published."""
    modulation: Modulation = "vit"
    modulation_depth: int = 4
    """Transformer blocks per level of the ViT mode."""
    modulation_heads: int = 8
    head_channels: int = 512
    """Of UPerNet."""
    auxiliary_channels: int = 256
    """Of the head that serves in training only."""
    drop_path: float = 0.4
    """Stochastic depth of the encoder's last block; it grows linearly from 0 at the first."""
    dropout: float = 0.1
    """Of whole channels before each head's last layer."""

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        if self.encoder not in ENCODERS:
            raise ModelNotFoundError(f"no encoder is called {self.encoder!r}; choose one of {', '.join(ENCODERS)}")
        if self.modulation not in get_args(Modulation):
            raise ModelNotFoundError(
                f"no modulation is called {self.modulation!r}; choose one of {', '.join(get_args(Modulation))}"
            )

    @property
    def channels(self) -> tuple[int, int, int, int]:
        """Of the encoder's four stages."""
        return ENCODERS[self.encoder]

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns that all levels of an image of that size (pixels) are aligned to; at least one each."""
        return max(1, height // self.token), max(1, width // self.token)


_KTDA = StudentSpec("ktda")
_SMALL = StudentSpec(
    "small", "convnext_femto", 224, 96, 16, "mlp", head_channels=64, auxiliary_channels=32, drop_path=0.1
)

STUDENTS = MappingProxyType(
    {
        spec.name: spec
        for spec in (
            _SMALL,
            replace(_SMALL, name="smallest", encoder="convnext_atto", width=64, head_channels=48),
            replace(_SMALL, name="medium", encoder="convnext_nano", width=192, head_channels=128),
            _KTDA,
            replace(_KTDA, name="ktda_mlp", modulation="mlp"),
        )
    }
)
"""Students by name: "ktda" and "ktda_mlp" as published, with either mode of the FMM; the others for CPUs."""


def student_spec(name: str) -> StudentSpec:
    """The student of that name.

    Raises:
        ModelNotFoundError: there is none.
    """
    if name not in STUDENTS:
        raise ModelNotFoundError(f"no student is called {name!r}; choose one of {', '.join(STUDENTS)}")
    return STUDENTS[name]
