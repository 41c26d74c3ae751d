"""Models by name, with their weights."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from seglab.errors import ModelNotFoundError
from seglab.jobs import Reporter, SilentReporter
from seglab.models.adapters.base import first_block
from seglab.models.checkpoint import load_weights
from seglab.models.device import choose_device
from seglab.models.download import download
from seglab.models.sam import AdaptedSam
from seglab.models.spec import SPECS, ModelOrigin

EMBEDDED = ("tiny", "tiny_unseen")
"""Models whose weights are part of the package. tiny_unseen is tiny without three of its datasets (fields,
buildings_kampala, landslide_sichuan), so that what a round gains on them can be measured."""


def embedded_weights(name: str) -> Path:
    """The packaged weights file of an embedded model."""
    return Path(str(resources.files("seglab.models") / "weights" / f"{name}.safetensors"))


def load_model(
    name: str = "tiny",
    *,
    checkpoint: str | Path | None = None,
    device: str | None = None,
    adapt_from: str | int = "late",
    extra_bands: int = 0,
    reporter: Reporter | None = None,
) -> AdaptedSam:
    """A model with its weights, ready to encode and decode.

    Args:
        name: "tiny" or "tiny_unseen", whose weights are in the package, or "vit_b", "vit_l", "vit_h", whose official
            checkpoints are downloaded once.
        checkpoint: a weights file to use instead (.pth or .safetensors).
        device: "cuda", "mps", "cpu"; chosen if None.
        adapt_from: where the frozen prefix ends: see `first_block`.
        extra_bands: bands beyond red, green and blue that the model shall take.
        reporter: told about the download's progress.

    Raises:
        ModelNotFoundError: no model of that name.
        CheckpointError: the weights file is damaged or of another model.
        DownloadError: the checkpoint could not be fetched.
        DeviceError: no such device.
    """
    if name not in SPECS:
        raise ModelNotFoundError(f"no model is called {name!r}; choose one of {', '.join(SPECS)}")
    spec = SPECS[name]
    target = choose_device(device)
    # Another process fetches packaged and official weights by name; a given file must be found from any folder.
    origin = ModelOrigin(name, None if checkpoint is None else Path(checkpoint).expanduser().absolute())
    if checkpoint is None:
        packaged = name in EMBEDDED
        checkpoint = embedded_weights(name) if packaged else download(name, report=reporter or SilentReporter())
    model = AdaptedSam(spec, first_block(adapt_from, spec.depth), extra_bands)
    model.origin = origin
    load_weights(model.sam, Path(checkpoint), name)
    return model.requires_grad_(False).eval().to(target)
