"""Networks that TransLandSeg is compared with, from segmentation-models-pytorch (an optional package)."""

from __future__ import annotations

from types import ModuleType

import torch
from torch import nn

from seglab.errors import DownloadError, MissingPackageError, ModelNotFoundError
from seglab.models.torchvision_ops import ensure_torchvision_operators

BASELINES = {"unet": "resnet50", "deeplabv3plus": "resnet50", "segformer": "mit_b2"}
"""Network by name, and the encoder that it gets unless another one is asked for."""
SMALLEST_BATCH = 2
"""Batch normalisation over one pooled value per channel has no variance to divide by."""


def build_baseline(
    name: str, classes: int, encoder: str | None = None, encoder_weights: str | None = "imagenet", seed: int = 0
) -> nn.Module:
    """A network from (B, 3, S, S) normalised images to (B, classes, S, S) logits, S a multiple of 32.

    Args:
        name: a key of BASELINES.
        classes: output channels.
        encoder: segmentation-models-pytorch's name of the encoder; the one in BASELINES if None.
        encoder_weights: what the encoder starts from, downloaded once; None for random weights.
        seed: of the random weights.

    Raises:
        MissingPackageError: segmentation-models-pytorch is not installed.
        ModelNotFoundError: no such network, encoder or encoder weights.
        DownloadError: the encoder's weights could not be fetched.
    """
    if name not in BASELINES:
        raise ModelNotFoundError(f"no baseline is called {name!r}; choose one of {', '.join(BASELINES)}")
    encoder = encoder or BASELINES[name]
    library = _library()
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return library.create_model(
                name, encoder_name=encoder, encoder_weights=encoder_weights, in_channels=3, classes=classes
            )
    except (KeyError, ValueError) as error:
        raise ModelNotFoundError(
            f"{name!r} cannot be built with encoder {encoder!r} and weights {encoder_weights!r} ({error}); see the "
            "encoders of segmentation-models-pytorch"
        ) from error
    except OSError as error:
        raise DownloadError(
            f"the weights {encoder_weights!r} of encoder {encoder!r} could not be fetched ({error}); check the "
            "connection, or start from random ones with --encoder-weights none"
        ) from error


def _library() -> ModuleType:
    ensure_torchvision_operators()  # timm, below segmentation-models-pytorch, imports torchvision
    try:
        import segmentation_models_pytorch
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            "baselines come from segmentation-models-pytorch; install it: pip install 'seglab[bench]'"
        ) from error
    return segmentation_models_pytorch
