"""How fast networks map: `seglab bench speed`. From pixels on disk to probabilities, window by window, weights random.

On a CPU it is one thread's own time that counts, so that what else the machine does hardly shows.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import rasterio
import torch
from rasterio.transform import from_origin

from seglab.core.raster import Scene
from seglab.core.windows import Window
from seglab.errors import BenchError, ModelNotFoundError
from seglab.inference.mapper import class_logits, probabilities
from seglab.inference.networks import MapNetwork, map_encoder
from seglab.models.adapters.base import first_block
from seglab.models.adapters.registry import new_adapter
from seglab.models.device import choose_device
from seglab.models.sam import AdaptedSam
from seglab.models.spec import SPECS
from seglab.models.student.network import build_student
from seglab.models.student.spec import STUDENTS

CLASSES = 3
ADAPTER, PLACE = "atl_a", "late"
"""What a SAM that maps has learned with."""


def run_speed(
    networks: Sequence[str],
    *,
    against: str = "vit_b",
    windows: int = 5,
    device: str | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Measure networks one after the other.

    Args:
        networks: students and SAMs by name.
        against: whose speed counts as 1; it is measured too.
        windows: timed for each, after one that is not.
        device: see `choose_device`.
        say: told about progress.

    Returns:
        "device", "against", and "rows": per network "name", "side" (of a window, pixels), "parameters", "seconds" (of a
        window, median), "mpx_per_second" and "faster". JSON values only.

    Raises:
        ModelNotFoundError: no such network.
        BenchError: nothing to time.
        DeviceError: no such device.
    """
    names = list(dict.fromkeys((*networks, against)))
    if unknown := [name for name in names if name not in STUDENTS and name not in SPECS]:
        raise ModelNotFoundError(
            f"no network is called {unknown[0]!r}; choose some of {', '.join((*STUDENTS, *SPECS))}"
        )
    if windows < 1:
        raise BenchError(f"{windows} windows cannot be timed; ask for at least 1")
    place, rows = choose_device(device), []
    for name in names:
        rows.append(_measured(name, windows, place))
        say(f"{name}: {rows[-1]['seconds']:.4f} s for a window of {rows[-1]['side']} pixels")
    base = next(row for row in rows if row["name"] == against)["mpx_per_second"]
    return {
        "device": str(place),
        "against": against,
        "rows": [row | {"faster": round(row["mpx_per_second"] / base, 2)} for row in rows],
    }


def format_table(result: Mapping[str, Any]) -> str:
    """The result as a Markdown table."""
    lines = [
        f"| | window | parameters | s/window | Mpx/s | times {result['against']} |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for row in result["rows"]:
        lines.append(
            f"| {row['name']} | {row['side']} | {row['parameters'] / 1e6:.1f} M | {row['seconds']:.3f} "
            f"| {row['mpx_per_second']:.3f} | {row['faster']:.1f} |"
        )
    return "\n".join(lines)


def _measured(name: str, windows: int, device: torch.device) -> dict[str, Any]:
    network, prompts = _network(name, device)
    side = network.spec.image_size
    before = torch.get_num_threads()
    with TemporaryDirectory(prefix="seglab-") as folder, Scene.open(_scene(Path(folder), side, windows + 1)) as scene:
        encoder = map_encoder(scene, network)
        torch.set_num_threads(1)
        try:
            taken = [
                _seconds(lambda i=i: _probabilities(encoder, Window(i * side, 0, side, side), prompts), device)
                for i in range(windows + 1)
            ]
        finally:
            torch.set_num_threads(before)
    seconds = statistics.median(taken[1:])
    return {
        "name": name,
        "side": side,
        "parameters": sum(p.numel() for p in network.parameters()),
        "seconds": round(seconds, 5),
        "mpx_per_second": round(side**2 / 1e6 / seconds, 4),
    }


def _network(name: str, device: torch.device) -> tuple[MapNetwork, torch.Tensor]:
    """A network as it maps, with the prompts of CLASSES classes."""
    if name in STUDENTS:
        student = build_student(STUDENTS[name], CLASSES).eval().requires_grad_(False).to(device)
        return student, student.class_rows
    spec = SPECS[name]
    model = AdaptedSam(spec, adapt_from=first_block(PLACE, spec.depth))
    model.attach(new_adapter(ADAPTER, spec, PLACE))
    model = model.eval().requires_grad_(False).to(device)
    return model, torch.randn(CLASSES, spec.prompt_dim, device=device)


def _scene(folder: Path, side: int, windows: int) -> Path:
    """A raster of noise, so many windows wide."""
    path = folder / "noise.tif"
    pixels = np.random.default_rng(0).integers(1, 255, (3, side, side * windows), np.uint8)
    with rasterio.open(
        path, "w", driver="GTiff", width=side * windows, height=side, count=3, dtype="uint8", crs="EPSG:32633",
        transform=from_origin(500_000, 5_000_000, 1, 1), tiled=True,
    ) as target:  # fmt: skip
        target.write(pixels)
    return path


def _probabilities(encoder: Any, window: Window, prompts: torch.Tensor) -> None:
    probabilities(class_logits(encoder, window, prompts, keep=False), window.model_shape)


def _seconds(work: Callable[[], None], device: torch.device) -> float:
    """How long it takes: this thread's own time on a CPU, the clock's elsewhere."""
    clock = time.thread_time if device.type == "cpu" else time.perf_counter
    start = clock()
    work()
    return clock() - start
