"""Windows to embeddings: what is computed once, what is computed again, and what is refused."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from seglab.core import handles
from seglab.core.raster import Scene
from seglab.core.views import View
from seglab.core.windows import Window
from seglab.encoding.encoder import REMEMBERED, WindowEncoder
from seglab.errors import BandError, SceneChangedError, SceneNotFoundError
from seglab.models.adapters.registry import new_adapter
from seglab.models.sam import AdaptedSam
from seglab.models.spec import SamSpec
from seglab.store.cache import ArrayCache
from tests.rasters import make_raster, pattern

SPEC = SamSpec("small", 64, 8, 32, 4, 2, (1, 3), 4, 32, 64)
WINDOWS = [Window(0, 0, 64, 64), Window(32, 64, 64, 64), Window(0, 0, 128, 128, 2), Window(460, 340, 64, 64)]


@pytest.fixture
def scene(lakes_path: Path):
    with Scene.open(lakes_path) as scene:
        yield scene


@pytest.fixture
def base() -> AdaptedSam:
    torch.manual_seed(0)
    return AdaptedSam(SPEC, adapt_from=2).eval().requires_grad_(False)


@pytest.fixture
def at_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' files were written just now; here they count as written long ago."""
    monkeypatch.setattr(handles, "SETTLED_S", 0.0)


def adapted(model: AdaptedSam, seed: int) -> AdaptedSam:
    torch.manual_seed(seed)
    branch = model.branch_off()
    branch.attach(new_adapter("atl_a", SPEC, 2))
    with torch.no_grad():
        for parameter in branch.adapter.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    return branch.eval()


class Counted:
    """How often each half of the encoder ran."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.prefixes = self.suffixes = 0
        prefix, suffix = AdaptedSam.encode_prefix, AdaptedSam.encode_suffix

        def counted_prefix(model, *args):
            self.prefixes += 1
            return prefix(model, *args)

        def counted_suffix(model, *args):
            self.suffixes += 1
            return suffix(model, *args)

        monkeypatch.setattr(AdaptedSam, "encode_prefix", counted_prefix)
        monkeypatch.setattr(AdaptedSam, "encode_suffix", counted_suffix)

    @property
    def runs(self) -> tuple[int, int]:
        return self.prefixes, self.suffixes


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    return Counted(monkeypatch)


def test_a_second_look_reads_and_computes_nothing(
    scene: Scene, base: AdaptedSam, counted: Counted, at_rest: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = WindowEncoder(scene, base, ArrayCache(2**30))
    first = encoder.embedding(WINDOWS[0])

    def no_reading(window: Window) -> None:
        raise AssertionError("the scene was read again")

    monkeypatch.setattr(scene, "rgb", no_reading)
    assert torch.equal(encoder.embedding(WINDOWS[0]), first)
    assert counted.runs == (1, 1)
    assert first.dtype == torch.float32 and first.shape == (1, 32, 8, 8)


def test_the_prefix_is_shared_between_rounds(scene: Scene, base: AdaptedSam, counted: Counted) -> None:
    cache = ArrayCache(2**30)
    plain = WindowEncoder(scene, base, cache).embedding(WINDOWS[0])
    encoder = WindowEncoder(scene, adapted(base, 1), cache)
    assert not encoder.is_encoded(WINDOWS[0])
    assert not torch.equal(encoder.embedding(WINDOWS[0]), plain)
    assert encoder.is_encoded(WINDOWS[0])
    assert counted.runs == (1, 2)


def test_prefixes_outlive_the_session(lakes_path: Path, base: AdaptedSam, counted: Counted, tmp_path: Path) -> None:
    for _ in range(2):
        with Scene.open(lakes_path) as scene:
            encoder = WindowEncoder(scene, base, ArrayCache(2**20), ArrayCache(2**24, tmp_path))
            encoder.embedding(WINDOWS[2])
            encoder.prefix(WINDOWS[2], View(turn=5, zoom=1.1))
    assert counted.runs == (2, 2)


def test_an_edited_file_is_encoded_anew_and_a_touched_one_is_not(
    base: AdaptedSam, counted: Counted, at_rest: None, tmp_path: Path
) -> None:
    path = make_raster(tmp_path / "scene.tif", 64, 64, seed=1)
    with Scene.open(path) as scene:
        encoder = WindowEncoder(scene, base, ArrayCache(2**24))
        before = encoder.embedding(WINDOWS[0])
        os.utime(path, (2, 2))
        assert torch.equal(encoder.embedding(WINDOWS[0]), before)
        assert counted.runs == (1, 1)
        path.write_bytes(make_raster(tmp_path / "other.tif", 64, 64, seed=2).read_bytes())
        os.utime(path, (1, 1))  # another time for sure
        assert not torch.equal(encoder.embedding(WINDOWS[0]), before)
        assert counted.runs == (2, 2)


def test_a_file_written_moments_ago_is_not_trusted_to_look_different(
    base: AdaptedSam, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two writes within one step of the file system's clock leave the same size and the same times."""
    written = time.time_ns()
    monkeypatch.setattr(handles, "file_state", lambda path: ("the same", written))
    monkeypatch.setattr(handles, "SETTLED_S", 3600.0)
    path = make_raster(tmp_path / "scene.tif", 64, 64, seed=1)
    with Scene.open(path) as scene:
        encoder = WindowEncoder(scene, base, ArrayCache(2**24))
        before = encoder.embedding(WINDOWS[0])
        path.write_bytes(make_raster(tmp_path / "other.tif", 64, 64, seed=2).read_bytes())
        after = encoder.embedding(WINDOWS[0])
        assert not torch.equal(after, before)
        written -= 2 * 3600 * 10**9
        assert torch.equal(encoder.embedding(WINDOWS[0]), after)


def test_a_source_of_a_virtual_raster_is_watched(base: AdaptedSam, at_rest: None, tmp_path: Path) -> None:
    source = make_raster(tmp_path / "source.tif", 64, 64, seed=1)
    bands = "".join(
        f'<VRTRasterBand dataType="Byte" band="{band}"><SimpleSource><SourceFilename relativeToVRT="1">source.tif'
        f"</SourceFilename><SourceBand>{band}</SourceBand></SimpleSource></VRTRasterBand>"
        for band in (1, 2, 3)
    )
    (tmp_path / "scene.vrt").write_text(f'<VRTDataset rasterXSize="64" rasterYSize="64">{bands}</VRTDataset>')
    with Scene.open(tmp_path / "scene.vrt") as scene:
        encoder = WindowEncoder(scene, base, ArrayCache(2**24))
        before = encoder.embedding(WINDOWS[0])
        source.write_bytes(make_raster(tmp_path / "other.tif", 64, 64, seed=2).read_bytes())
        os.utime(source, (1, 1))
        after = encoder.embedding(WINDOWS[0])
    assert not torch.equal(after, before)
    with Scene.open(tmp_path / "scene.vrt", stretch=scene.stretch) as scene:
        assert torch.equal(WindowEncoder(scene, base, ArrayCache(0)).embedding(WINDOWS[0]), after)


def test_a_file_that_became_another_raster_or_went_is_an_error(base: AdaptedSam, tmp_path: Path) -> None:
    path = make_raster(tmp_path / "scene.tif", 64, 64)
    with Scene.open(path) as scene:
        encoder = WindowEncoder(scene, base, ArrayCache(2**24))
        encoder.embedding(WINDOWS[0])
        make_raster(path, 64, 80)
        with pytest.raises(SceneChangedError, match="open it again"):
            encoder.embedding(WINDOWS[0])
        path.unlink()
        with pytest.raises(SceneNotFoundError, match="no file"):
            encoder.embedding(WINDOWS[0])


def test_weights_that_change_while_they_are_used_leave_nothing_behind(
    scene: Scene, base: AdaptedSam, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = ArrayCache(2**24)
    encoder = WindowEncoder(scene, base, cache)
    run = AdaptedSam.encode_prefix

    def disturbed(model: AdaptedSam, *args: torch.Tensor):
        prefix = run(model, *args)
        with torch.no_grad():
            base.sam.image_encoder.blocks[0].mlp.lin1.weight.mul_(1.5)
        return prefix

    monkeypatch.setattr(AdaptedSam, "encode_prefix", disturbed)
    encoder.embedding(WINDOWS[0])
    assert len(cache) == 0


def test_other_bands_are_another_embedding(lakes_path: Path, base: AdaptedSam) -> None:
    cache = ArrayCache(2**30)
    with Scene.open(lakes_path) as rgb, Scene.open(lakes_path, bands=(3, 2, 1)) as bgr:
        one = WindowEncoder(rgb, base, cache).embedding(WINDOWS[0])
        other = WindowEncoder(bgr, base, cache).embedding(WINDOWS[0])
    assert not torch.equal(one, other)


def test_extra_bands_keep_the_cached_prefix_and_change_nothing_before_training(
    counted: Counted, tmp_path: Path
) -> None:
    path = make_raster(tmp_path / "scene.tif", data=pattern(5, 64, 64, "uint16"))
    torch.manual_seed(0)
    model = AdaptedSam(SPEC, adapt_from=2, extra_bands=2).eval().requires_grad_(False)
    plain = model.branch_off()
    plain.band_branch = None
    cache = ArrayCache(2**30)
    with Scene.open(path, bands=(1, 2, 3)) as scene:
        without = WindowEncoder(scene, plain, cache).embedding(WINDOWS[0])
        encoder = WindowEncoder(scene, model, cache, extra_bands=(4, 5))
        assert torch.equal(encoder.embedding(WINDOWS[0]), without)
        assert counted.runs == (1, 2)
        prefix = encoder.prefix(WINDOWS[0])
        assert prefix.extra.dtype == torch.float16 and prefix.extra.shape == (1, 2, 64, 64)
        with torch.no_grad():
            model.band_branch.projection.weight.add_(0.1)
        assert not torch.equal(encoder.embedding(WINDOWS[0]), without)
        with pytest.raises(BandError, match="2 extra bands and was given 0"):
            WindowEncoder(scene, model, ArrayCache(0)).embedding(WINDOWS[0])


def test_other_extra_bands_and_other_values_in_them_are_another_embedding(at_rest: None, tmp_path: Path) -> None:
    data = pattern(5, 64, 64, "uint16")
    path = make_raster(tmp_path / "scene.tif", data=data)
    model = AdaptedSam(SPEC, adapt_from=2, extra_bands=2).eval().requires_grad_(False)
    with torch.no_grad():
        model.band_branch.projection.weight.add_(0.1 * torch.arange(2)[:, None, None])
    cache = ArrayCache(2**30)
    with Scene.open(path, bands=(1, 2, 3)) as scene:
        encoder = WindowEncoder(scene, model, cache, extra_bands=(4, 5))
        first = encoder.embedding(WINDOWS[0])
        swapped = WindowEncoder(scene, model, cache, extra_bands=(5, 4)).embedding(WINDOWS[0])
        assert not torch.equal(swapped, first)
        data[4] = data[4, ::-1]  # red, green and blue stay as they are
        path.write_bytes(make_raster(tmp_path / "other.tif", data=data).read_bytes())
        os.utime(path, (1, 1))
        assert not torch.equal(encoder.embedding(WINDOWS[0]), first)


def test_windows_are_visited_latest_first_and_passing_by_is_no_visit(scene: Scene, base: AdaptedSam) -> None:
    cache = ArrayCache(2**30)
    encoder = WindowEncoder(scene, base, cache)
    for window in (WINDOWS[0], WINDOWS[1], WINDOWS[2], WINDOWS[0]):
        encoder.embedding(window)
    kept = len(cache)
    passed = encoder.embedding(WINDOWS[3], keep=False)
    assert encoder.visited(2) == [WINDOWS[0], WINDOWS[2]]
    assert encoder.visited(10) == [WINDOWS[0], WINDOWS[2], WINDOWS[1]]
    assert len(cache) == kept and not encoder.is_encoded(WINDOWS[3])
    assert torch.equal(encoder.embedding(WINDOWS[3]), passed)


def test_visits_are_forgotten_in_the_end(scene: Scene, base: AdaptedSam, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = WindowEncoder(scene, base, ArrayCache(0))
    monkeypatch.setattr(WindowEncoder, "_checked", lambda *args: {"embedding": np.zeros(1, np.float16)})
    for col in range(REMEMBERED + 3):
        encoder.embedding(Window(col, 0, 64, 64))
    visited = encoder.visited(10_000)
    assert len(visited) == REMEMBERED and visited[-1] == Window(3, 0, 64, 64)
