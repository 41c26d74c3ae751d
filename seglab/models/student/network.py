"""KTDA's student (arXiv 2412.06664): encoder, alignment, neck, modulation and head, in this order."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from seglab.models.spec import IMAGENET_MEAN, IMAGENET_STD
from seglab.models.student.alignment import FeatureAlignment, Neck
from seglab.models.student.encoder import ConvNeXtEncoder
from seglab.models.student.heads import AuxiliaryHead, UPerHead
from seglab.models.student.modulation import FeatureModulation
from seglab.models.student.spec import StudentSpec

AUXILIARY_LEVEL = 2
"""0-based level that the auxiliary head sees."""


@dataclass(frozen=True)
class StudentOutput:
    """What training needs of a student."""

    logits: Tensor
    """(B, C, h, w) of the classes, against a background of logit 0."""
    auxiliary: Tensor
    """(B, C, h', w') of the auxiliary head."""
    aligned: tuple[Tensor, ...]
    """(B, width, rows, cols) per level: what the teacher's features are compared with."""


class Student(nn.Module):
    """A student with random weights.

    Args:
        spec: its shape.
        classes: C. A background of logit 0 competes with them, as with SAM's class prompts.
    """

    def __init__(self, spec: StudentSpec, classes: int) -> None:
        super().__init__()
        self.spec = spec
        self.encoder = ConvNeXtEncoder(spec.encoder, spec.drop_path)
        levels = len(spec.channels)
        self.alignment = FeatureAlignment(spec.channels, spec.width)
        self.neck = Neck(spec.width)
        self.modulation = None if spec.modulation == "none" else FeatureModulation(spec, levels)
        self.head = UPerHead(spec.width, spec.head_channels, classes, levels, spec.dropout)
        self.auxiliary = AuxiliaryHead(spec.width, spec.auxiliary_channels, classes, spec.dropout)
        self.register_buffer("pixel_mean", torch.tensor(IMAGENET_MEAN)[:, None, None], persistent=False)
        self.register_buffer("pixel_std", torch.tensor(IMAGENET_STD)[:, None, None], persistent=False)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.pixel_mean.device

    def preprocess(self, rgb: Tensor) -> Tensor:
        """(B, H, W, 3) uint8 to the normalised (B, 3, H, W) float input."""
        image = rgb.to(self.device).permute(0, 3, 1, 2).float()
        return (image - self.pixel_mean) / self.pixel_std

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) normalised to (B, C, h, w) logits, four times as fine as the aligned grid."""
        return self.head(self._pyramid(self._aligned(image)))

    def decode_classes(self, embedding: Tensor, prompts: Tensor) -> Tensor:
        """Logits of the wanted classes, as AdaptedSam.decode_classes gives them: what a map is made of.

        Args:
            embedding: (B, C, h, w): of a student, this is its logits.
            prompts: (K, C), one row per wanted class: of a student, a 1 at the class: see `class_rows`.

        Returns:
            (B, K, h, w).
        """
        return torch.einsum("kc,bchw->bkhw", prompts, embedding)

    @property
    def class_rows(self) -> Tensor:
        """(C, C): the row of each class for `decode_classes`."""
        return torch.eye(self.head.classify.out_channels, device=self.device)

    def outputs(self, image: Tensor) -> StudentOutput:
        """The same with all that training looks at.

        Args:
            image: (B, 3, H, W) normalised.
        """
        aligned = self._aligned(image)
        pyramid = self._pyramid(aligned)
        return StudentOutput(self.head(pyramid), self.auxiliary(pyramid[AUXILIARY_LEVEL]), tuple(aligned))

    def _aligned(self, image: Tensor) -> list[Tensor]:
        return self.alignment(self.encoder(image), self.spec.grid(*image.shape[-2:]))

    def _pyramid(self, aligned: list[Tensor]) -> list[Tensor]:
        pyramid = self.neck(aligned)
        return pyramid if self.modulation is None else self.modulation(pyramid)


def build_student(
    spec: StudentSpec, classes: int, *, encoder_weights: str | Path | None = None, seed: int = 0
) -> Student:
    """A student to train.

    Args:
        spec: its shape.
        classes: C.
        encoder_weights: a file with the encoder's weights; random ones if None.
        seed: of the random weights; the caller's chance stays as it was.

    Raises:
        CheckpointError: the file is damaged, or of another encoder.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        student = Student(spec, classes)
    if encoder_weights is not None:
        student.encoder.load(encoder_weights)
    return student
