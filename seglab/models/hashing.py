"""What identifies weights: SHA-256 over their values, read once per state of each tensor."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

_INTEGERS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
"""An integer type by its size in bytes."""

_known: WeakIdKeyDictionary = WeakIdKeyDictionary()
"""(state, digest) by tensor, as long as the tensor lives."""

_lock = threading.Lock()


def tensor_hash(tensors: Mapping[str, Tensor], shape: str = "") -> str:
    """SHA-256 over names, shapes, types and values, in hexadecimal.

    The digest of a tensor object is remembered as long as the tensor is in the state it was read in, so that weights
    that do not change are read once. Pass the parameters themselves (`state_dict(keep_vars=True)`): what `state_dict`
    makes anew on every call cannot be remembered.

    Args:
        tensors: by name.
        shape: of the network, in words: what its weights do not tell.
    """
    digest = hashlib.sha256(shape.encode())
    for name in sorted(tensors):
        digest.update(f"{name}={_digest(tensors[name])};".encode())
    return digest.hexdigest()


def tensor_states(tensors: Iterable[Tensor]) -> tuple[tuple[int, int] | None, ...]:
    """Per tensor, what differs after a change that PyTorch counts; None where it does not count."""
    return tuple(None if t.is_inference() else (t.data_ptr(), t._version) for t in tensors)


def _digest(tensor: Tensor) -> str:
    state = _state(tensor)
    with _lock:
        known = _known.get(tensor)
    if known is not None and state is not None and known[0] == state:
        return known[1]
    found = _read(tensor)
    if state is not None:
        with _lock:
            _known[tensor] = (state, found)
    return found


def _state(tensor: Tensor) -> tuple[object, ...] | None:
    """What differs after any in-place change; None where that cannot be told.

    PyTorch counts in-place changes, but not those through `.data` or a NumPy view of the memory: the sum of the values'
    bit patterns, which costs one pass at the speed of memory, tells those.
    """
    if tensor.is_inference():
        return None
    flat = tensor.detach().contiguous()
    bits = int(flat.view(_INTEGERS[tensor.element_size()]).sum(dtype=torch.int64)) if tensor.numel() else 0
    return tensor._version, tensor.data_ptr(), tensor.device, tensor.dtype, tuple(tensor.shape), bits


def _read(tensor: Tensor) -> str:
    values = tensor.detach().cpu().contiguous()
    digest = hashlib.sha256(f"{tuple(tensor.shape)}{tensor.dtype}".encode())
    # A flat view: a tensor with no axis has no bytes of its own to view.
    digest.update(values.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
