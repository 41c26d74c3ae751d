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
        extra_bands: 1-based bands that the model takes beside the scene's three; as many as it was made for.
    """

    def __init__(
        self,
        scene: Scene,
        model: AdaptedSam,
        embeddings: ArrayCache,
        prefixes: ArrayCache | None = None,
        extra_bands: Sequence[int] = (),
    ) -> None:
        self.scene = scene
        self.model = model
        self.extra_bands = tuple(extra_bands)
        self._embeddings = embeddings
        self._prefixes = embeddings if prefixes is None else prefixes
        self._visited: OrderedDict[Window, None] = OrderedDict()
        self._lock = threading.Lock()
        forget(model)

    # -- keys

    def prefix_key(self, window: Window, view: View = PLAIN) -> str:
        """Where the prefix of a window, seen in a view, stands in the cache of prefixes."""
        return self._key(window, view=view, network=prefix_identity(self.model))

    def embedding_key(self, window: Window) -> str:
        """Where the embedding of a window stands in the cache of embeddings."""
        return self._key(window, extra=self.extra_bands, network=encoder_identity(self.model))

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
        # the pixels are read again, and compared, only when their file may have changed
        if held is None or state is None or held["state"].tobytes() != state.encode():
            held = self._checked(window, key, state, held, keep)
        return torch.from_numpy(held["embedding"]).to(self.model.device, torch.float32)

    def is_encoded(self, window: Window) -> bool:
        """Whether the window's embedding is in the cache."""
        return self._embeddings.get(self.embedding_key(window)) is not None

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
        self, window: Window, key: str, state: str | None, held: dict[str, np.ndarray] | None, keep: bool
    ) -> dict[str, np.ndarray]:
        """The embedding of the pixels as they are now: the one held if it was made of them, else a new one.

        Args:
            window, keep: see `embedding`.
            key: of the window's embedding.
            state: of the scene, from before its pixels are read.
            held: what the cache has under the key.
        """
        rgb, extra = self.pixels(window)
        digest = pixel_digest(rgb, extra)
        if held is None or held["pixels"].tobytes() != digest.encode():
            prefix = stored_prefix(self.model, self._prefixes, self.prefix_key(window), rgb, extra, keep=keep)
            with torch.no_grad(), compute(self.model.device):
                embedding = self.model.encode_suffix(prefix.to(self.model.device, torch.float32))
            held = {"embedding": embedding.half().cpu().numpy(), "pixels": _text(digest)}
        held["state"] = _text(state or "")
        if keep and self.embedding_key(window) == key:  # otherwise the weights changed while they were in use
            self._embeddings.put(key, held)
        return held


def _text(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), dtype=np.uint8)
