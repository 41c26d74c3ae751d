"""Zero stale reads: whatever happens to scenes, weights, files and caches, what is cached equals what is not."""

from __future__ import annotations

import itertools
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from seglab.core import handles
from seglab.core.raster import Scene
from seglab.core.stretch import Stretch
from seglab.core.views import View
from seglab.core.windows import Window
from seglab.encoding.encoder import WindowEncoder
from seglab.models.adapters.registry import new_adapter
from seglab.models.sam import AdaptedSam, Prefix
from seglab.models.spec import SamSpec
from seglab.store.array_files import SUFFIX
from seglab.store.cache import ArrayCache
from tests.rasters import make_raster, pattern

SPEC = SamSpec("small", 32, 8, 16, 3, 2, (1,), 2, 16, 32)
CONTENT = pattern(6, 64, 80, "uint16")
EDGE = Window(60, -8, 32, 32)
WINDOWS = st.sampled_from([Window(0, 0, 32, 32), Window(16, 16, 32, 32), Window(0, 0, 64, 64, 2), EDGE])
VIEWS = st.sampled_from(
    [View(), View(turn=3), View(turn=6), View(zoom=1.25), View(zoom=0.8, turn=1), View(gain=(1.2, 1.0, 0.9))]
)
BANDS = st.sampled_from([(1, 2, 3), (3, 2, 1), (4, 2, 1)])
EXTRA_BANDS = st.permutations((4, 5, 6)).map(lambda bands: tuple(bands[:2]))
FAMILIES = st.sampled_from(["atl_a", "atl_d", "lora", "serial", "none", "full"])
BUDGETS = st.sampled_from([0, 6_000, 20_000, 2**24])
"""Bytes: a prefix of the small model takes some 10,000, an embedding some 600."""

COARSE_S = 3600
"""Step of the coarse clock."""

TICK_S = 0.02
"""Longer than the step of a local file system's clock."""


@dataclass
class Network:
    """A model, and the bands that it takes beside three."""

    model: AdaptedSam
    extra_bands: tuple[int, ...]
    encoder: WindowEncoder | None = None


def shaken(model: AdaptedSam, seed: int) -> None:
    """Give what a round trains other values, as an optimiser would."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.trained_parameters().values():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))


def fresh_network(seed: int, adapt_from: int, extra_bands: tuple[int, ...]) -> Network:
    torch.manual_seed(seed)
    model = AdaptedSam(SPEC, adapt_from, len(extra_bands)).requires_grad_(False).eval()
    shaken(model, seed)
    return Network(model, extra_bands)


def pixels(path: Path, scene: Scene, extra_bands: tuple[int, ...], window: Window, view: View):
    """What the file shows now, by nobody's cache."""
    with Scene.open(path, bands=scene.bands, stretch=scene.stretch) as now:
        rgb = view.image(now.rgb(window)[0])
        return rgb, view.layers(now.extra(window, extra_bands)) if extra_bands else None


def uncached_prefix(model: AdaptedSam, rgb: np.ndarray, extra: np.ndarray | None) -> Prefix:
    with torch.no_grad():
        image = model.preprocess(torch.from_numpy(rgb)[None])
        return model.encode_prefix(image, None if extra is None else torch.from_numpy(extra)[None]).stored()


def uncached_embedding(model: AdaptedSam, rgb: np.ndarray, extra: np.ndarray | None) -> torch.Tensor:
    prefix = uncached_prefix(model, rgb, extra)
    with torch.no_grad():
        return model.encode_suffix(prefix.to(model.device, torch.float32)).half().float()


def equal(first: Prefix, second: Prefix) -> bool:
    parts = [(getattr(first, name), getattr(second, name)) for name in ("tokens", "patches", "high_pass", "extra")]
    return all((a is None and b is None) or (a.dtype == b.dtype and torch.equal(a, b)) for a, b in parts)


class CachedEncoding(RuleBasedStateMachine):
    """A session's life on one scene, with every cache that can be stale."""

    new_folder = None  # set by the test below
    clock_tells = False  # whether two writes of the file are a tick apart, so that its times tell them apart

    def __init__(self):
        super().__init__()
        self.folder: Path = type(self).new_folder()
        self.folder.mkdir()
        self.path = self.folder / "scene.tif"
        self.cache_folder = self.folder / "cache"
        self.write(self.path, CONTENT)
        self.scene = Scene.open(self.path, bands=(1, 2, 3))
        self.networks: list[Network] = []
        self.budgets = [2**24, 2**24]
        self.open_caches()

    def write(self, path: Path, content: np.ndarray) -> None:
        if self.clock_tells:
            time.sleep(TICK_S)
        make_raster(path, data=content)

    def open_caches(self) -> None:
        self.embeddings = ArrayCache(self.budgets[0])
        self.prefixes = ArrayCache(self.budgets[1], self.cache_folder)
        self.new_encoders()

    def new_encoders(self) -> None:
        for network in self.networks:
            self.new_encoder(network)

    def new_encoder(self, network: Network) -> None:
        network.encoder = WindowEncoder(
            self.scene, network.model, self.embeddings, self.prefixes, extra_bands=network.extra_bands
        )

    def add(self, network: Network) -> None:
        self.new_encoder(network)
        self.networks = [*self.networks[-3:], network]

    def network(self, number: int) -> Network:
        return self.networks[number % len(self.networks)]

    def teardown(self):
        self.scene.close()

    # -- asking

    @invariant()
    def nothing_is_stale(self):
        """Of the window that every model is asked for, whatever has just happened."""
        if self.networks:
            self.embedding(len(self.networks) - 1, Window(0, 0, 32, 32), keep=True)

    @initialize(seed=st.integers(0, 3), k=st.integers(0, 3))
    def base(self, seed, k):
        self.add(fresh_network(seed, k, ()))

    @rule(number=st.integers(0, 3), window=WINDOWS, keep=st.booleans())
    def ask(self, number, window, keep):
        self.embedding(number, window, keep)

    def embedding(self, number, window, keep):
        network = self.network(number)
        expected = uncached_embedding(
            network.model, *pixels(self.path, self.scene, network.extra_bands, window, View())
        )
        assert torch.equal(network.encoder.embedding(window, keep=keep), expected)
        assert torch.equal(network.encoder.embedding(window), expected)

    @rule(number=st.integers(0, 3), window=WINDOWS, view=VIEWS)
    def prefix(self, number, window, view):
        network = self.network(number)
        expected = uncached_prefix(network.model, *pixels(self.path, self.scene, network.extra_bands, window, view))
        found = network.encoder.prefix(window, view)
        assert equal(found, expected)
        found.tokens.zero_()  # a caller's own: the file stays as it is
        assert equal(network.encoder.prefix(window, view), expected)

    # -- models

    @rule(seed=st.integers(0, 3), k=st.integers(0, 3), extra_bands=st.just(()) | EXTRA_BANDS)
    def another_base(self, seed, k, extra_bands):
        self.add(fresh_network(seed, k, extra_bands))

    @rule(number=st.integers(0, 3), family=FAMILIES, k=st.integers(0, 2), seed=st.integers(0, 3))
    def another_round(self, number, family, k, seed):
        network = self.network(number)
        model = network.model.branch_off()
        model.attach(new_adapter(family, SPEC, k))
        shaken(model, seed)
        self.add(Network(model.eval(), network.extra_bands))

    @rule(number=st.integers(0, 3), block=st.integers(0, 2), counted=st.booleans())
    def weights_change_in_place(self, number, block, counted):
        model = self.network(number).model
        weights = model.sam.image_encoder.blocks[block].mlp.lin1.weight
        if counted:
            with torch.no_grad():
                weights.mul_(1.5)
        else:  # PyTorch does not count these; a new encoder looks
            weights.data.mul_(1.5)
            self.new_encoders()  # of all models that share the block

    @rule(number=st.integers(0, 3))
    def weights_are_replaced(self, number):
        lin = self.network(number).model.sam.image_encoder.blocks[0].mlp.lin2
        lin.weight = torch.nn.Parameter(lin.weight.detach() * 1.25, requires_grad=False)

    @rule(number=st.integers(0, 3), extra_bands=EXTRA_BANDS)
    def other_extra_bands(self, number, extra_bands):
        network = self.network(number)
        if network.extra_bands:
            network.extra_bands = extra_bands
            self.new_encoder(network)

    # -- scenes

    @rule(
        shift=st.integers(1, 79),
        in_place=st.booleans(),
        keep_time=st.booleans(),
        reopen=st.booleans(),
        bands=BANDS,
    )
    def the_file_is_edited(self, shift, in_place, keep_time, reopen, bands):
        """To the same size, and with the same values elsewhere, so that the stretch stays."""
        before = self.path.stat()
        edited = self.folder / "edited.tif"
        self.write(edited, np.roll(CONTENT, shift, axis=2))
        if in_place:
            self.path.write_bytes(edited.read_bytes())
        else:
            os.replace(edited, self.path)
        # Windows keeps no other trace of a write than this time.
        if keep_time and not (os.name == "nt" and self.clock_tells):
            os.utime(self.path, ns=(before.st_atime_ns, before.st_mtime_ns))
        if reopen:
            self.reopen_the_scene(bands)

    @rule(bands=BANDS)
    def reopen_the_scene(self, bands):
        self.scene.close()
        self.scene = Scene.open(self.path, bands=bands)
        self.new_encoders()

    @rule(low=st.sampled_from([0.0, 100.0, 300.0]))
    def another_stretch(self, low):
        self.scene.stretch = Stretch((low,) * 3, (2000.0, 1500.0, 1000.0))

    # -- caches

    @rule(embeddings=BUDGETS, prefixes=BUDGETS)
    def other_budgets(self, embeddings, prefixes):
        self.budgets = [embeddings, prefixes]
        self.open_caches()

    @rule()
    def a_second_process_opens_the_folder(self):
        self.prefixes = ArrayCache(self.budgets[1], self.cache_folder)
        self.new_encoders()

    def files(self) -> list[Path]:
        return sorted(self.cache_folder.glob(f"*{SUFFIX}"))

    @precondition(lambda self: self.files())
    @rule(which=st.integers(0, 9), how=st.sampled_from(["cut", "flip", "empty", "remove"]), at=st.integers(0, 20_000))
    def a_file_is_damaged(self, which, how, at):
        path = self.files()[which % len(self.files())]
        content = path.read_bytes()
        at %= max(1, len(content))
        path.unlink()
        if how == "flip":
            path.write_bytes(content[:at] + bytes(byte ^ 16 for byte in content[at:][:1]) + content[at + 1 :])
        elif how != "remove":
            path.write_bytes(content[:at] if how == "cut" else b"")

    @rule(number=st.integers(0, 3), window=WINDOWS, view=VIEWS, other=st.integers(0, 3))
    def another_value_stands_under_the_key(self, number, window, view, other):
        """As an older version, a hash that collides or a confused process could leave it."""
        value = self.prefixes.get(self.network(other).encoder.prefix_key(EDGE))
        if value is not None:
            self.prefixes.put(self.network(number).encoder.prefix_key(window, view), value)


def coarse_state(path: str) -> tuple[str, int]:
    """What a file system says that keeps nothing but the size, and times in large steps."""
    if not os.path.exists(path):
        return "-", 0
    status = os.stat(path)
    written = status.st_ctime_ns // (COARSE_S * 10**9) * COARSE_S * 10**9
    return f"{status.st_size},{written}", written


@pytest.mark.parametrize("clock_tells", [True, False], ids=["a fine clock", "a coarse clock"])
def test_what_is_cached_equals_what_is_not(clock_tells, tmp_path, monkeypatch):
    numbers = itertools.count()
    told = clock_tells
    if clock_tells:
        monkeypatch.setattr(handles, "SETTLED_S", 0.0)
    else:
        monkeypatch.setattr(handles, "file_state", coarse_state)
        monkeypatch.setattr(handles, "SETTLED_S", COARSE_S)

    class Machine(CachedEncoding):
        new_folder = staticmethod(lambda: tmp_path / str(next(numbers)))
        clock_tells = told

    case = Machine.TestCase()
    case.settings = settings(
        max_examples=8, stateful_step_count=16, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    case.runTest()
