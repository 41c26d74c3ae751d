"""Fixtures for all tests: one synthetic scene, one small model, one session."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from rasterio.transform import from_origin

BROWSER = Path(__file__).parent / "browser"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests first: they take longest, and where several processes share the tests one has all of them."""
    items.sort(key=lambda item: BROWSER not in item.path.parents)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Where several processes share the tests (`make test`), each file goes to one of them, so that what a file sets up
    is set up once, and all browser tests to the same one: two browsers at once would only slow each other."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            path = nodeid.split("::", 1)[0]
            return "browser" if path.startswith("tests/browser/") else path

    return ByFile(config, log)


LAKES = ((60, 70, 28), (200, 90, 36), (330, 240, 30), (110, 300, 40), (420, 60, 24))
"""(col, row, radius) of the lakes in the synthetic scene, pixels."""


def lake_mask(shape: tuple[int, int] = (384, 512)) -> np.ndarray:
    """(rows, cols) bool: where the synthetic scene has water."""
    rows, cols = np.mgrid[: shape[0], : shape[1]] + 0.5
    return np.any([(cols - c) ** 2 + (rows - r) ** 2 <= radius**2 for c, r, radius in LAKES], axis=0)


@pytest.fixture(scope="session")
def lakes_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A UTM scene of 512 x 384 pixels: dark blue lakes in noisy, textured green and brown ground."""
    water = lake_mask()
    rng = np.random.default_rng(7)
    texture = rng.normal(0, 9, (3, *water.shape))
    field = (np.indices(water.shape) // 48).sum(0) % 2
    ground = np.where(field, np.array([96, 122, 70])[:, None, None], np.array([140, 118, 88])[:, None, None])
    image = np.where(water, np.array([24, 46, 92])[:, None, None], ground) + texture
    path = tmp_path_factory.mktemp("scene") / "lakes.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=512, height=384, count=3, dtype="uint8", crs="EPSG:32633",
        transform=from_origin(500_000, 5_000_000, 10, 10), photometric="RGB", tiled=True,
    ) as target:  # fmt: skip
        target.write(np.clip(image, 0, 255).astype(np.uint8))
    return path


@pytest.fixture(scope="session")
def dry_lakes_path(lakes_path: Path) -> Path:
    """The same place on another date: the two largest lakes have fallen dry."""
    path = lakes_path.with_name("dry_lakes.tif")
    with rasterio.open(lakes_path) as source:
        profile, image = source.profile, source.read()
    rows, cols = np.mgrid[: image.shape[1], : image.shape[2]] + 0.5
    for col, row, radius in (LAKES[1], LAKES[3]):
        dry = (cols - col) ** 2 + (rows - row) ** 2 <= (radius + 1) ** 2
        image[:, dry] = np.array([150, 140, 110], dtype=np.uint8)[:, None] + image[:, dry] % 16
    with rasterio.open(path, "w", **profile) as target:
        target.write(image)
    return path


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """The same arithmetic on every machine; on a busy one, threads that wait for each other slow all down."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session", autouse=True)
def _old_objects_are_not_looked_at() -> None:
    """What has been imported stays: Python need not go through it whenever it looks for garbage."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def _memory_goes_back() -> Iterator[None]:
    """After each file: a session is a cycle, which Python finds when it looks, seldom enough for twenty models to
    gather; and what is freed glibc keeps, for every thread that there was."""
    yield
    gc.collect()
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # another C library
            ctypes.CDLL(None).malloc_trim(0)


@pytest.fixture
def open_lakes(lakes_path: Path, tmp_path: Path) -> Iterator[Callable[..., object]]:
    """Opens sessions on the lakes, or on another source; all are closed at the end."""
    import seglab

    opened = []

    def open_(**changes: object) -> object:
        settings = {
            "classes": ["water", "field"],
            "project": tmp_path / "lakes.seglab",
            "device": "cpu",
            "isolate": False,
        }
        settings |= changes
        opened.append(seglab.open(settings.pop("source", lakes_path), **settings))
        return opened[-1]

    yield open_
    for session in opened:
        session.close()
