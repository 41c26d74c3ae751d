"""The device that a model runs on: chosen by itself, or set."""

from __future__ import annotations

import contextlib

import torch

from seglab.errors import DeviceError


def choose_device(name: str | None = None) -> torch.device:
    """The device of that name, or the best one there is: cuda, else mps, else cpu.

    Args:
        name: "cuda", "cuda:1", "mps", "cpu", or None to choose.

    Raises:
        DeviceError: no such device on this machine.
    """
    if name is None:
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise DeviceError(
            f"this machine has no device {name!r} ({error}); leave `device` out to have it chosen, or pass 'cpu'"
        ) from error
    return device


def compute(device: torch.device) -> contextlib.AbstractContextManager[object]:
    """Mixed precision where it pays: bfloat16 on CUDA, float32 elsewhere."""
    if device.type == "cuda":
        return torch.autocast("cuda", torch.bfloat16)
    return contextlib.nullcontext()
