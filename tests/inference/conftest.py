"""A small scene with holes, a small model, and maps of the one by the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch

from seglab.core.raster import Scene
from seglab.encoding.encoder import WindowEncoder
from seglab.inference.plan import MappedClass
from seglab.models.sam import AdaptedSam
from seglab.models.spec import SamSpec
from seglab.store.cache import ArrayCache
from tests.rasters import make_raster

SPEC = SamSpec("small", 64, 8, 32, 2, 2, (1,), 4, 32, 64)
ROWS, COLS = 150, 210


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A raster of ROWS x COLS, no data in a corner."""
    holes = np.zeros((ROWS, COLS), dtype=bool)
    holes[:40, :90] = True
    return make_raster(tmp_path / "scene.tif", COLS, ROWS, nodata=0, holes=holes)


@pytest.fixture
def model() -> AdaptedSam:
    torch.manual_seed(3)
    made = AdaptedSam(SPEC, adapt_from=1).eval().requires_grad_(False)
    with torch.no_grad():
        for parameter in made.sam.mask_decoder.parameters():  # an untrained one says the same everywhere
            parameter.mul_(3)
    return made


@pytest.fixture
def encoder(path: Path, model: AdaptedSam) -> Iterator[WindowEncoder]:
    with Scene.open(path) as scene:
        yield WindowEncoder(scene, model, ArrayCache(0))


@pytest.fixture
def classes() -> list[MappedClass]:
    prompts = torch.randn(2, SPEC.prompt_dim, generator=torch.Generator().manual_seed(5))
    return [MappedClass(1, "water", "#0000ff", prompts[0]), MappedClass(2, "field", "#00ff00", prompts[1])]


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as dataset:
        return dataset.read(1)
