"""How the embedded model was made, runnable again: procedural scenes, ground on the device and the training loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seglab.pretrain.from_config import run

__all__ = ["run"]


def __getattr__(name: str) -> Any:
    """Load the training loop (and with it torch) only when it is asked for."""
    if name == "run":
        from seglab.pretrain.from_config import run

        return run
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
