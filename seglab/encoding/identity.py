"""What a cached activation depends on, apart from the pixels: weights, the code that runs them, and the hardware.

Hashing all weights takes as long as reading them, which is too much for every click. A model's hash is therefore
remembered until PyTorch's own count says that one of its tensors was written to, or another tensor took its place.
"""

from __future__ import annotations

import hashlib
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import chain

import numpy as np
import torch
from torch import Tensor, nn

from seglab.models.hashing import tensor_states
from seglab.models.sam import AdaptedSam

FORMAT = 1
"""Of what the caches keep: a change makes every older value a miss."""

_lock = threading.Lock()


@dataclass(frozen=True)
class _Hashed:
    """A hash and what it was made of: the tensors themselves, so that no other can get the address of one of them."""

    shape: tuple[object, ...]
    tensors: tuple[Tensor, ...]
    states: tuple[tuple[int, int] | None, ...]
    hash: str

    def is_of(self, shape: tuple[object, ...], tensors: tuple[Tensor, ...]) -> bool:
        same = len(tensors) == len(self.tensors) and all(a is b for a, b in zip(tensors, self.tensors, strict=True))
        return same and shape == self.shape and None not in self.states and self.states == tensor_states(tensors)


_known: weakref.WeakKeyDictionary[AdaptedSam, dict[str, _Hashed]] = weakref.WeakKeyDictionary()


def prefix_identity(model: AdaptedSam) -> str:
    """Equal for models and machines that make the same prefix, bit by bit, of the same pixels."""
    encoder = model.sam.image_encoder
    weights = [*_tensors(encoder.patch_embed), *_tensors(encoder.blocks[: model.adapt_from])]
    if encoder.pos_embed is not None:
        weights.append(encoder.pos_embed)
    return _remembered(model, "prefix", (model.adapt_from,), weights, model.prefix_hash)


def encoder_identity(model: AdaptedSam) -> str:
    """Equal for models and machines that make the same embedding, bit by bit, of the same pixels."""
    parts = (model.sam.image_encoder, model.adapter, model.band_branch)
    weights = [tensor for part in parts if part is not None for tensor in _tensors(part)]
    adapter = None if model.adapter is None else model.adapter.name
    return _remembered(model, "encoder", (model.adapt_from, adapter), weights, model.encoder_hash)


def forget(model: AdaptedSam) -> None:
    """Hash the model's weights anew when they are next asked for: a write through `.data` is not counted."""
    with _lock:
        _known.pop(model, None)


def pixel_digest(rgb: np.ndarray, extra: np.ndarray | None = None) -> str:
    """Identifies pixels by their values.

    Args:
        rgb: (H, W, 3) uint8.
        extra: (E, H, W) float32, or None.
    """
    digest = hashlib.blake2b(digest_size=16)
    for array in (rgb,) if extra is None else (rgb, extra):
        digest.update(f"{array.shape}{array.dtype};".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _remembered(
    model: AdaptedSam, name: str, shape: tuple[object, ...], weights: Iterable[Tensor], hashed: Callable[[], str]
) -> str:
    tensors = tuple(weights)
    with _lock:
        known = _known.get(model, {}).get(name)
    if known is None or not known.is_of(shape, tensors):
        states = tensor_states(tensors)  # before hashing: a write meanwhile is found the next time
        known = _Hashed(shape, tensors, states, hashed())
        with _lock:
            _known.setdefault(model, {})[name] = known
    return f"{FORMAT}-{known.hash}-{_machine(model.device)}-{_code()}"


def _tensors(module: nn.Module) -> Iterator[Tensor]:
    return chain(module.parameters(), module.buffers())


def _machine(device: torch.device) -> str:
    """Kernels round in their own ways: those of another device, processor or PyTorch are another network."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else torch.backends.cpu.get_cpu_capability()
    return f"{device.type}-{name}-{torch.__version__}-{torch.get_float32_matmul_precision()}"


@cache
def _code() -> str:
    """Of the modules that compute a prefix: nobody has to remember to raise FORMAT when they change."""
    digest = hashlib.blake2b(digest_size=8)
    sources = (file for file in resources.files("seglab.models").iterdir() if file.name.endswith(".py"))
    for file in sorted(sources, key=lambda file: file.name):
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()
