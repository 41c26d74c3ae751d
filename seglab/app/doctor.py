"""What works here: packages, device, weights and caches, tiles; every failure with what to do."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import rasterio
import torch

from seglab.app.doctor_tiles import Check, check_routes, check_tiles
from seglab.errors import SegLabError
from seglab.models.device import WIDE, choose_device, compute, compute_suffix
from seglab.models.download import CHECKPOINTS, MB, cache_folder
from seglab.models.registry import EMBEDDED, embedded_weights, load_model
from seglab.models.torchvision_ops import ensure_torchvision_operators
from seglab.serve.routes import Route

PACKAGES = ("seglab", "torch", "torchvision", "segment-anything", "jupyterlab", "ipyleaflet", "localtileserver")
"""Those without which nothing works; ipykernel has a check of its own."""
BAD_KERNEL = "7.0."
"""ipykernel's versions in which widget updates made from threads fail."""


@dataclass(frozen=True)
class Report:
    """Everything that was looked at."""

    checks: tuple[Check, ...]
    routes: tuple[Route, ...]
    """By which the page would try to reach the tiles, in order."""

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return all(check.ok for check in self.checks)

    def to_json(self) -> dict[str, Any]:
        """A value for JSON."""
        return asdict(self) | {"ok": self.ok}


def examine() -> Report:
    """Look at everything, in some seconds."""
    steps: Sequence[Callable[[], Iterable[Check]]] = (
        check_packages,
        check_device,
        check_weights,
        check_caches,
        check_tiles,
    )
    routes, about = check_routes()
    return Report((*(check for step in steps for check in step()), *about), routes)


def check_packages() -> Iterator[Check]:
    """The versions of what seglab stands on."""
    yield Check("Python", platform.python_version())
    for name in PACKAGES:
        yield _package(name)
    yield _kernel()
    yield Check("GDAL", rasterio.__gdal_version__)
    compiled = ensure_torchvision_operators()
    yield Check("operators", "torchvision's own" if compiled else "seglab's stand-in for torchvision's, as good")


def _package(name: str) -> Check:
    try:
        return Check(name, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Check(name, "not installed", False, f"pip install {name}")


def _kernel() -> Check:
    found = _package("ipykernel")
    if not found.value.startswith(BAD_KERNEL):
        return found
    advice = f"widgets fail in {BAD_KERNEL}*: pip install 'ipykernel!={BAD_KERNEL}*'"
    return Check(found.name, found.value, False, advice)


def check_device() -> Iterator[Check]:
    """Where the model would run, and in which arithmetic."""
    device = choose_device()
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    clicks, training = (_precision(c) for c in (compute(device), compute_suffix(device, WIDE)))
    yield Check("device", f"{device.type} ({name}); clicks in {clicks}, training of vit_b and larger in {training}")


def _precision(context: object) -> str:
    return "bfloat16" if isinstance(context, torch.autocast) else "float32"


def check_weights() -> Iterator[Check]:
    """Whether the weights in the package load, and which official ones have been downloaded."""
    for name in EMBEDDED:
        try:
            load_model(name, device="cpu")
        except (SegLabError, OSError) as error:
            yield Check(f"weights {name}", "do not load", False, f"{error}; or pip install --force-reinstall seglab")
        else:
            size = embedded_weights(name).stat().st_size
            yield Check(f"weights {name}", f"load; {_size(size)} in {embedded_weights(name).parent}")
    there = [c.name for c in CHECKPOINTS.values() if (cache_folder() / "checkpoints" / c.filename).exists()]
    yield Check("downloaded", ", ".join(there) or "no official weights; vit_b, vit_l, vit_h come when asked for")


def check_caches() -> Iterator[Check]:
    """Where downloads are kept, how much there is, and whether more may be written."""
    folder = cache_folder()
    value = f"{_size(folder_size(folder))} in {folder}; what windows look like is kept in each project's cache/"
    above = next(path for path in (folder, *folder.parents) if path.exists())
    if os.access(above, os.W_OK) and above.is_dir():
        yield Check("cache", value)
    else:
        yield Check("cache", value, False, f"{above} cannot be written; set SEGLAB_CACHE to another folder")


def folder_size(folder: Path) -> int:
    """Bytes of the files below a folder; 0 if there is none."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _size(size: float) -> str:
    return f"{size / MB:,.0f} MB"
