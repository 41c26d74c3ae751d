"""The device that a model runs on: chosen by itself, or set."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Mapping

import torch

from seglab.errors import DeviceError

WIDE = 512
"""Channels of an encoder from which on bfloat16 pays on a CPU that has it. Measured on one core with AVX512-BF16, a
retraining step from the cached prefix at 784 tokens: ViT-B (768 channels) needs half the time of float32, tiny (192)
at least 0.85 of it, which is not worth the rounding."""


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


def compute_suffix(device: torch.device, width: int) -> contextlib.AbstractContextManager[object]:
    """What the adapted blocks are trained in: as `compute`, but bfloat16 also on a CPU where that pays.

    Weights, their gradients and the decoder stay float32. Only training asks for it: what a person sees is computed in
    float32 on a CPU, so that it is the same on all of them.

    Args:
        device: where the model is.
        width: channels of the encoder's tokens.
    """
    if device.type == "cpu" and width >= WIDE and has_bfloat16(_cpu_capabilities()):
        return torch.autocast("cpu", torch.bfloat16)
    return compute(device)


def has_bfloat16(capabilities: Mapping[str, object]) -> bool:
    """Whether a CPU multiplies matrices of bfloat16 itself; where it does not, they are slower than float32.

    Args:
        capabilities: what `torch.cpu.get_capabilities` says.
    """
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


BACKGROUND_NICENESS = 15
"""Added to a background thread's niceness: beside a click it gets a thirtieth of a core's time (Linux)."""


def in_background() -> None:
    """Make the calling thread give way to all others: it computes on one core, and where the system can tell threads
    apart (Linux), it waits while others need that core.

    Several threads of one computation wait for each other at every step; where a click has put one of them aside, they
    would all stand still, and burn the click's cores waiting.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # for this thread, and for those that are not yet there: a passing one puts that right
    restore = threading.Thread(target=torch.set_num_threads, args=(before,))
    restore.start()
    restore.join()
    if sys.platform == "linux":  # elsewhere the number would be taken for a process's
        thread = threading.get_native_id()
        with contextlib.suppress(OSError):  # a sandbox may refuse
            os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + BACKGROUND_NICENESS)


def _cpu_capabilities() -> Mapping[str, object]:
    ask = getattr(torch.cpu, "get_capabilities", None)  # older PyTorch cannot say
    return {} if ask is None else ask()
