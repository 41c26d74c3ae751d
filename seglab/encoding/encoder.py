"""From windows of a scene to embeddings, through the caches.

A cached value and a fresh one are the same: both have passed through fp16 where the cache stores them, and a value is
used only for the pixels and the network that it was made of.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import torch

from seglab.core.raster import Scene
from seglab.core.views import View
from seglab.core.windows import Window
from seglab.encoding.identity import encoder_identity, forget, pixel_digest, prefix_identity
from seglab.encoding.prefixes import stored_prefix
from seglab.models.device import compute
from seglab.models.sam import AdaptedSam, Prefix
from seglab.store.cache import ArrayCache, cache_key

REMEMBERED = 256
"""Windows that `visited` knows, at most."""

STATE_BYTES = 256
"""What stands beside an embedding in the cache, at most: of which pixels and which state of the file it is."""

PLAIN = View()


class WindowEncoder:
    """Embeddings of one scene's windows by one model.

    Args:
        scene: the scene to read.
        model: a new round gets a new encoder. A change of its weights in place is noticed all the same, unless it is
            made through `.data`.
        embeddings: cache of the embeddings, in memory: they last as long as the process.
        prefixes: cache of the prefixes, with a folder if they are to last; None puts them beside the embeddings.
            Both may be shared by the encoders of many rounds and scenes.
        ahead: cache of embeddings that nobody has asked for yet: they push each other out, never those that were asked
            for. None: nothing is encoded ahead.
        extra_bands: 1-based bands that the model takes beside the scene's three; as many as it was made for.
    """

    def __init__(
        self,
        scene: Scene,
        model: AdaptedSam,
        embeddings: ArrayCache,
        prefixes: ArrayCache | None = None,
        extra_bands: Sequence[int] = (),
        ahead: ArrayCache | None = None,
    ) -> None:
        self.scene = scene
        self.model = model
        self.extra_bands = tuple(extra_bands)
        self._embeddings = embeddings
        self._prefixes = embeddings if prefixes is None else prefixes
        self._ahead = ArrayCache(0) if ahead is None else ahead
        self._visited: OrderedDict[Window, None] = OrderedDict()
        self._lock = threading.Lock()
        forget(model)

    # -- keys

    def prefix_key(self, window: Window, view: View = PLAIN) -> str:
        """Where the prefix of a window, seen in a view, stands in the cache of prefixes."""
        return self._key(window, view=view, network=prefix_identity(self.model))

    def embedding_key(self, window: Window) -> str:
        """Where the embedding of a window stands in the cache of embeddings."""
        return self._place(window, self._embedded())

    def _embedded(self) -> str:
        """What the keys of all embeddings have in common now."""
        scene, network = self.scene, encoder_identity(self.model)
        bands = (scene.bands, self.extra_bands)
        return cache_key(scene=scene.fingerprint, bands=bands, stretch=scene.stretch, network=network)

    @staticmethod
    def _place(window: Window, embedded: str) -> str:
        return f"{window.col} {window.row} {window.width} {window.height} {window.scale} {embedded}"

    def _key(self, window: Window, **more: object) -> str:
        """Of what the scene shows now: its stretch may be changed while it is open."""
        scene = self.scene
        return cache_key(scene=scene.fingerprint, bands=scene.bands, stretch=scene.stretch, window=window, **more)

    # -- values

    def pixels(self, window: Window, view: View = PLAIN) -> tuple[np.ndarray, np.ndarray | None]:
        """What the network is shown of a window.

        Returns:
            rgb: (h, w, 3) uint8; extra: (E, h, w) float32, or None without extra bands.

        Raises:
            SceneNotFoundError, SceneChangedError, DamagedSceneError: the window's pixels cannot be read (any more).
        """
        rgb, _ = self.scene.rgb(window)
        extra = self.scene.extra(window, self.extra_bands) if self.extra_bands else None
        if view.is_plain:
            return rgb, extra
        return view.image(rgb), None if extra is None else view.layers(extra)

    def prefix(self, window: Window, view: View = PLAIN) -> Prefix:
        """The frozen prefix's activations of a window, as stored: fp16, on the CPU, a batch of one.

        Raises:
            SceneNotFoundError, SceneChangedError, DamagedSceneError: see `pixels`.
        """
        return stored_prefix(self.model, self._prefixes, self.prefix_key(window, view), *self.pixels(window, view))

    def embedding(self, window: Window, *, keep: bool = True) -> torch.Tensor:
        """The image embedding of a window.

        Args:
            window: scene pixels.
            keep: False for a window that is only passed by, as in mapping a scene: it does not push out of the
                caches what the person is working on, and is no visit.

        Returns:
            (1, prompt_dim, h, w) float32 on the model's device.

        Raises:
            SceneNotFoundError, SceneChangedError, DamagedSceneError: see `pixels`.
        """
        if keep:
            self._visit(window)
        key, state = self.embedding_key(window), self.scene.state()
        held = self._embeddings.get(key, own=True)
        if held is None and (held := self._ahead.get(key, own=True)) is not None and keep:
            self._embeddings.put(key, held)
        # the pixels are read again, and compared, only when their file may have changed
        if held is None or not _is_of(held, state):
            held = self._checked(window, key, state, held, self._embeddings if keep else None)
        return torch.from_numpy(held["embedding"]).to(self.model.device, torch.float32)

    def embedding_of_view(self, window: Window, view: View) -> torch.Tensor:
        """The image embedding of a window as a view shows it; nothing of it is kept.

        Returns:
            (1, prompt_dim, h, w) float32 on the model's device.

        Raises:
            SceneNotFoundError, SceneChangedError, DamagedSceneError: see `pixels`.
        """
        return self._suffix(stored_prefix(self.model, None, "", *self.pixels(window, view))).float()

    def encode_ahead(self, window: Window) -> bool:
        """Encode a window that may be asked for soon; it is no visit, and pushes out only others of its kind.

        Returns:
            Whether it had to be encoded.

        Raises:
            SceneNotFoundError, SceneChangedError, DamagedSceneError: see `pixels`.
        """
        key = self.embedding_key(window)
        if key in self._embeddings or self._ahead.get(key) is not None:
            return False
        self._checked(window, key, self.scene.state(), None, self._ahead)
        return True

    @property
    def room_ahead(self) -> int:
        """How many windows can be encoded ahead before they push each other out."""
        spec = self.model.spec
        return self._ahead.budget_bytes // (2 * spec.prompt_dim * spec.grid**2 + STATE_BYTES)

    def store_prefix(self, window: Window) -> None:
        """Make sure that a window's prefix is in the cache: those of windows that were encoded ahead are not.

        Raises:
            SceneNotFoundError, SceneChangedError, DamagedSceneError: see `pixels`.
        """
        if self.prefix_key(window) not in self._prefixes:
            self.prefix(window)

    def prefix_room(self, window: Window) -> int:
        """How many prefixes such as a window's the cache holds before they push each other out; it is encoded for it.

        Raises:
            SceneNotFoundError, SceneChangedError, DamagedSceneError: see `pixels`.
        """
        self.store_prefix(window)
        return self._prefixes.budget_bytes // max(1, self.prefix(window).nbytes)

    def is_encoded(self, window: Window) -> bool:
        """Whether the window's embedding is in the caches."""
        key = self.embedding_key(window)
        return key in self._embeddings or key in self._ahead

    def encoded(self) -> tuple[Window, ...]:
        """All windows whose embeddings are in the caches, in order."""
        embedded = self._embedded()
        held = {*self._embeddings.keys(), *self._ahead.keys()}
        places = [key.removesuffix(embedded).split() for key in held if key.endswith(embedded)]
        return tuple(sorted(Window(*map(int, place)) for place in places))

    def visited(self, limit: int) -> list[Window]:
        """The windows whose embeddings were asked for last, the latest first."""
        with self._lock:
            return list(reversed(self._visited))[:limit]

    # -- inside

    def _visit(self, window: Window) -> None:
        with self._lock:
            self._visited[window] = None
            self._visited.move_to_end(window)
            if len(self._visited) > REMEMBERED:
                self._visited.popitem(last=False)

    def _checked(
        self,
        window: Window,
        key: str,
        state: str | None,
        held: dict[str, np.ndarray] | None,
        cache: ArrayCache | None,
    ) -> dict[str, np.ndarray]:
        """The embedding of the pixels as they are now: the one held if it was made of them, else a new one.

        Args:
            window: scene pixels.
            key: of its embedding.
            state: of the scene, from before its pixels are read.
            held: what the caches have under the key.
            cache: where it is kept; None: nowhere.
        """
        # of a window that nobody has asked for yet the prefix would only take others' place on the disk
        keep = cache is self._embeddings
        rgb, extra = self.pixels(window)
        digest = pixel_digest(rgb, extra)
        if held is None or held["pixels"].tobytes() != digest.encode():
            prefix = stored_prefix(self.model, self._prefixes, self.prefix_key(window), rgb, extra, keep=keep)
            held = {"embedding": self._suffix(prefix).cpu().numpy(), "pixels": _text(digest)}
        held["state"] = _text(state or "")
        if cache is not None and self.embedding_key(window) == key:  # else the weights changed while they were in use
            cache.put(key, held)
        return held

    def _suffix(self, prefix: Prefix) -> torch.Tensor:
        """The embedding, rounded to what the caches keep, on the model's device."""
        with torch.no_grad(), compute(self.model.device):
            return self.model.encode_suffix(prefix.to(self.model.device, torch.float32)).half()


def _is_of(held: dict[str, np.ndarray], state: str | None) -> bool:
    """Whether an embedding was made, or checked, in this state of the scene; None: nobody knows."""
    return state is not None and held["state"].tobytes() == state.encode()


def _text(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), dtype=np.uint8)
