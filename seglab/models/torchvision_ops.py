"""torchvision's detection operators, declared where its compiled library cannot be loaded.

segment_anything imports torchvision, and torchvision's import registers fake kernels for operators that its compiled
library defines. Where that library does not load (its wheel and torch's were built differently), the operators'
schemas are missing and the import fails. Declaring them first makes both importable; nms gets a plain PyTorch body.
"""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path

import torch

_SCHEMAS = {
    "nms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}


def _compiled_operators_load() -> bool:
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        return False
    libraries = [p for p in Path(spec.origin).parent.glob("_C*") if p.suffix in (".so", ".pyd", ".dylib")]
    for library in libraries:
        try:
            torch.ops.load_library(str(library))
        except (OSError, ImportError):
            return False
    return bool(libraries)


def nms(dets: torch.Tensor, scores: torch.Tensor, iou_threshold: float) -> torch.Tensor:
    """Non-maximum suppression in plain PyTorch.

    Args:
        dets: (N, 4) boxes (left, top, right, bottom).
        scores: (N,) higher is better.
        iou_threshold: a box is dropped when its IoU with a better kept box exceeds this.

    Returns:
        (K,) int64 indexes of the kept boxes, best first.
    """
    order = scores.argsort(descending=True)
    boxes = dets[order]
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    alive = torch.ones(len(boxes), dtype=torch.bool, device=boxes.device)
    kept = []
    for i in range(len(boxes)):
        if not alive[i]:
            continue
        kept.append(i)
        corner = torch.maximum(boxes[i, :2], boxes[:, :2])
        extent = (torch.minimum(boxes[i, 2:], boxes[:, 2:]) - corner).clamp(min=0)
        shared = extent[:, 0] * extent[:, 1]
        alive &= shared <= iou_threshold * (area[i] + area - shared)
    return order[torch.tensor(kept, dtype=torch.int64, device=order.device)]


@functools.cache
def ensure_torchvision_operators() -> bool:
    """Declare torchvision's nms and qnms if its compiled library does not load.

    Call before importing segment_anything or torchvision.

    Returns:
        True if the compiled operators are there, False if the declared ones stand in.
    """
    if _compiled_operators_load():
        return True
    for name, schema in _SCHEMAS.items():
        torch.library.define(f"torchvision::{name}", schema)
    torch.library.impl("torchvision::nms", "default", nms)
    return False
