"""From windows of a scene to embeddings, through the cache.

A cached value and a fresh one are the same: both have passed through fp16 where the cache stores them.
"""

from __future__ import annotations

import numpy as np
import torch

from seglab.core.raster import Scene
from seglab.core.windows import Window
from seglab.models.device import compute
from seglab.models.sam import AdaptedSam, Prefix
from seglab.store.cache import ArrayCache, cache_key

_PREFIX_PARTS = ("tokens", "patches", "image")


class WindowEncoder:
    """Embeddings of one scene's windows by one model.

    Args:
        scene: the scene to read.
        model: must not change while the encoder is in use; a new round gets a new encoder.
        cache: may be shared by the encoders of many rounds and scenes.
    """

    def __init__(self, scene: Scene, model: AdaptedSam, cache: ArrayCache) -> None:
        self.scene = scene
        self.model = model
        self._cache = cache
        self._input = {
            "scene": scene.fingerprint,
            "bands": list(scene.bands),
            "low": [float(v) for v in scene.stretch.low],
            "high": [float(v) for v in scene.stretch.high],
        }
        self._prefix_hash = model.prefix_hash()
        self._encoder_hash = model.encoder_hash()

    def _key(self, window: Window, network: str) -> str:
        place = [window.col, window.row, window.width, window.height, window.scale]
        return cache_key(**self._input, window=place, network=network)

    def is_encoded(self, window: Window) -> bool:
        """Whether the window's embedding is in the cache."""
        return self._cache.get(self._key(window, self._encoder_hash)) is not None

    def embedding(self, window: Window) -> torch.Tensor:
        """The image embedding of a window.

        Returns:
            (1, prompt_dim, h, w) float32 on the model's device.

        Raises:
            DamagedSceneError: the window's pixels cannot be read.
        """
        key = self._key(window, self._encoder_hash)
        cached = self._cache.get(key)
        if cached is None:
            prefix = self.prefix(window)
            with torch.inference_mode(), compute(self.model.device):
                embedding = self.model.encode_suffix(prefix.to(self.model.device, torch.float32))
            cached = embedding.half().cpu().numpy()
            self._cache.put(key, cached)
        return torch.from_numpy(np.array(cached)).to(self.model.device, torch.float32)

    def prefix(self, window: Window) -> Prefix:
        """The frozen prefix's activations of a window, as stored: fp16, on the CPU."""
        key = self._key(window, self._prefix_hash)
        cached = self._cache.get(key)
        if cached is None:
            rgb, _ = self.scene.rgb(window)
            prefix = self.prefix_of(rgb)
            cached = {part: getattr(prefix, part).numpy() for part in _PREFIX_PARTS}
            self._cache.put(key, cached)
        return Prefix(*(torch.from_numpy(np.array(cached[part])) for part in _PREFIX_PARTS))

    def prefix_of(self, rgb: np.ndarray) -> Prefix:
        """The prefix's activations of pixels that are not cached (a turned window, say).

        Args:
            rgb: (H, W, 3) uint8.
        """
        with torch.inference_mode(), compute(self.model.device):
            image = self.model.preprocess(torch.from_numpy(np.ascontiguousarray(rgb))[None])
            return self.model.encode_prefix(image).stored().to(torch.device("cpu"), torch.float16)
