"""A student as an ONNX file, which other runtimes run without PyTorch; written only if it computes the same."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from seglab.errors import MissingPackageError, UnknownFormatError, WriteError
from seglab.models.student.network import Student
from seglab.store import atomic

SUFFIX = ".onnx"
TOLERANCE = 1e-4
"""Largest difference between the file's scores and PyTorch's."""
CHECKED = (1, 3)
"""Images per batch that both are asked for; the export itself is made with two."""
OPSET = 18


class DeployedStudent(nn.Module):
    """A student that takes plain pixels: what is exported.

    Args:
        student: in eval mode.
    """

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.student = student

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, S, S) float32 RGB of 0..255 to (B, C + 1, S / 4, S / 4) scores, background first, about so fine."""
        logits = self.student((image - self.student.pixel_mean) / self.student.pixel_std)
        return torch.cat([torch.zeros_like(logits[:, :1]), logits], dim=1)


def export_onnx(student: Student, classes: tuple[str, ...], path: Path) -> float:
    """Write a student as ONNX: input "image", output "scores"; the batch is free, the input's side is the student's.

    The file's metadata say under "seglab" what the scores are of: {"classes": ["background", ...], "input_size": S}.

    Args:
        student: in eval mode; it is exported on the CPU.
        classes: its names, without the background.
        path: ends in .onnx; replaced when it is there.

    Returns:
        The largest difference between the file's scores and PyTorch's, at most TOLERANCE.

    Raises:
        MissingPackageError: the "onnx" extra is not installed.
        UnknownFormatError: the name has another suffix.
        WriteError: the file computes something else, or the system refused; nothing stands under the name then.
    """
    if path.suffix != SUFFIX:
        raise UnknownFormatError(
            f"a network is exported as {SUFFIX!r}, not {path.suffix!r}; choose a name that ends so"
        )
    onnx, runtime = _libraries()
    network = DeployedStudent(student).eval()
    size = student.spec.image_size
    content = _exported(onnx, network, size, {"classes": ["background", *classes], "input_size": size})
    difference = _difference(runtime, content, network, size)
    if not difference <= TOLERANCE:
        raise WriteError(
            f"the exported network's scores differ from PyTorch's by {difference:.2g}, more than {TOLERANCE}; nothing "
            "was written. Try another version of onnx and onnxruntime"
        )
    atomic.write_bytes(path, content)
    return difference


def _exported(onnx: ModuleType, network: nn.Module, size: int, card: dict[str, Any]) -> bytes:
    device = next(network.parameters()).device
    example = torch.zeros(2, 3, size, size, device=device)
    program = torch.onnx.export(
        network,
        (example,),
        input_names=["image"],
        output_names=["scores"],
        dynamo=True,
        opset_version=OPSET,
        dynamic_shapes={"image": {0: torch.export.Dim("batch")}},
        verbose=False,
    )
    model = program.model_proto
    onnx.helper.set_model_props(model, {"seglab": json.dumps(card, ensure_ascii=False)})
    return model.SerializeToString()


def _difference(runtime: ModuleType, content: bytes, network: nn.Module, size: int) -> float:
    """The largest difference on noise, over batches of CHECKED images."""
    session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
    rng, device, found = np.random.default_rng(0), next(network.parameters()).device, []
    for count in CHECKED:
        image = rng.uniform(0, 255, (count, 3, size, size)).astype(np.float32)
        with torch.inference_mode():
            expected = network(torch.from_numpy(image).to(device)).cpu().numpy()
        found.append(float(np.abs(session.run(None, {"image": image})[0] - expected).max()))
    return max(found)


def _libraries() -> tuple[ModuleType, ModuleType]:
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401 - PyTorch's exporter needs it
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            f"exporting to ONNX needs {error.name}; install it: pip install 'seglab[onnx]'"
        ) from error
    return onnx, onnxruntime
