"""Writing a model's weights: fp16 safetensors with a JSON card beside them."""

from __future__ import annotations

import json
import os
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor


def export_weights(state: dict[str, Tensor], path: Path, card: dict[str, object]) -> None:
    """Write weights and card, each atomically.

    Args:
        state: segment-anything's state dict of the model.
        path: NAME.safetensors; the card goes to NAME.json.
        card: what a reader should know; plain values.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    half = {k: v.detach().cpu().half().contiguous() for k, v in state.items()}
    save_file(half, partial, metadata={"format": "pt", "model": str(card.get("model", ""))})
    # safetensors writes files that only their owner can read; an installed package is read by everyone.
    partial.chmod(0o644)
    os.replace(partial, path)
    partial.write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    os.replace(partial, path.with_suffix(".json"))
