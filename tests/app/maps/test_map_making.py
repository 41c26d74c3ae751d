"""Maps of a session's scene: at another resolution, by a cluster, from prefixes that were encoded beforehand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from shapely.geometry import box

from seglab.app.session import LabelSession
from seglab.core.windows import Window
from seglab.encoding import prefixes
from seglab.errors import JobRunningError, MissingCRSError, PromptError
from seglab.store.cache import ArrayCache
from tests.conftest import LAKES


@pytest.fixture
def session(open_lakes) -> LabelSession:
    session = open_lakes()
    col, row, radius = LAKES[0]
    session.paint(box(col - radius / 2, row - radius / 2, col + radius / 2, row + radius / 2), crs="pixel")
    session.accept("water")
    return session


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as file:
        return file.read(1)


def test_a_coarser_look_has_the_scenes_pixels(session: LabelSession, tmp_path: Path) -> None:
    size = session.grid.pixel_size_m
    fine = read(session.predict(tmp_path / "fine.tif").result().path)
    coarse = read(session.predict(tmp_path / "coarse.tif", resolution=2 * size).result().path)
    assert coarse.shape == fine.shape == session.grid.shape
    even = coarse[: coarse.shape[0] // 2 * 2, : coarse.shape[1] // 2 * 2]
    cells = even.reshape(even.shape[0] // 2, 2, -1, 2)
    known = (cells != 255).all((1, 3))
    assert (cells.max((1, 3)) == cells.min((1, 3)))[known].all() and known.any()  # two by two pixels are one
    assert not np.array_equal(coarse, fine)
    with pytest.raises(PromptError, match="above 0"):
        session.predict(resolution=0)


def test_a_resolution_needs_a_place(open_lakes) -> None:
    plain = open_lakes(source=np.full((300, 300, 3), 90, dtype=np.uint8))
    with pytest.raises(MissingCRSError, match="leave resolution out"):
        plain.predict(resolution=3.0)


def test_a_map_comes_with_a_stac_item(session: LabelSession) -> None:
    made = session.predict().result()
    item = json.loads(made.path.with_suffix(".json").read_text())
    names = [entry["name"] for entry in item["assets"]["map"]["classification:classes"]]
    assert "water" in names and item["assets"]["confidence"]["href"].endswith("_confidence.tif")


def test_a_client_maps_the_same(session: LabelSession, tmp_path: Path) -> None:
    from distributed import Client

    here = read(session.predict(tmp_path / "here.tif").result().path)
    with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=None) as client:
        there = read(session.predict(tmp_path / "there.tif", client=client).result().path)
    np.testing.assert_array_equal(here, there)


def test_what_was_encoded_is_not_computed_again(session: LabelSession, monkeypatch: pytest.MonkeyPatch) -> None:
    count = session.encode().result()
    computed = []
    monkeypatch.setattr(prefixes, "_computed", lambda *args: computed.append(args))  # would fail
    session.predict().result()
    assert count > 1 and not computed


def test_no_more_is_encoded_than_the_cache_holds(session: LabelSession, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = session._learner.current.encoder
    one = encoder.prefix(Window(0, 0, session.model_size, session.model_size)).nbytes
    monkeypatch.setattr(encoder, "_prefixes", ArrayCache(int(2.5 * one)))
    job = session.encode()
    assert job.result() == 2 and "2 of" in job.progress.message


def test_one_at_a_time(session: LabelSession) -> None:
    job = session.encode()
    try:
        with pytest.raises(JobRunningError, match="wait for it or cancel"):
            session.predict()
    finally:
        job.cancel()
        job.wait()
