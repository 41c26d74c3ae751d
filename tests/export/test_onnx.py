"""A student as an ONNX file."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from seglab.cli import main
from seglab.errors import MissingPackageError, UnknownFormatError, WriteError
from seglab.export import onnx as exporting
from seglab.export.onnx import DeployedStudent, export_onnx
from seglab.models.student.network import Student, build_student
from seglab.models.student.restore import student_identity, student_tensors
from seglab.models.student.spec import student_spec
from seglab.store.round_files import write_round_file


@pytest.fixture(scope="module")
def student() -> Student:
    return build_student(replace(student_spec("smallest"), image_size=64), 2).eval()


@pytest.mark.slow
def test_the_file_computes_what_pytorch_does(student, tmp_path, capsys):
    import onnx
    import onnxruntime

    source, path = tmp_path / "student.safetensors", tmp_path / "student.onnx"
    write_round_file(source, student_tensors(student), student_identity(student) | {"classes": ["lake", "field"]})
    assert main(["onnx", str(source), "--out", str(path)]) == 0
    assert "from PyTorch's scores" in capsys.readouterr().out
    card = json.loads({p.key: p.value for p in onnx.load(path).metadata_props}["seglab"])
    assert card == {"classes": ["background", "lake", "field"], "input_size": 64}
    image = np.random.default_rng(1).uniform(0, 255, (4, 3, 64, 64)).astype(np.float32)
    scores = onnxruntime.InferenceSession(path).run(None, {"image": image})[0]
    assert scores.shape == (4, 3, 16, 16)
    with torch.inference_mode():
        logits = student(student.preprocess(torch.from_numpy(image).permute(0, 2, 3, 1)))
    np.testing.assert_allclose(scores[:, 1:], logits.numpy(), atol=1e-4)
    assert not scores[:, 0].any()


def test_a_file_that_computes_something_else_is_not_written(student, tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "_exported", lambda *_: b"")

    class Session:
        def __init__(self, *_: object, **__: object) -> None:
            pass

        def run(self, _: None, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
            with torch.inference_mode():
                return [DeployedStudent(student)(torch.from_numpy(inputs["image"])).numpy() + 2e-4]

    monkeypatch.setattr("onnxruntime.InferenceSession", Session)
    with pytest.raises(WriteError, match=r"differ from PyTorch's by 0\.0002"):
        export_onnx(student, ("lake", "field"), tmp_path / "student.onnx")
    assert list(tmp_path.iterdir()) == []


def test_what_is_missing_or_misnamed_is_said(student, tmp_path, monkeypatch):
    with pytest.raises(UnknownFormatError, match=r"'\.onnx', not '\.pt'"):
        export_onnx(student, ("lake", "field"), Path("student.pt"))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingPackageError, match=r"seglab\[onnx\]"):
        export_onnx(student, ("lake", "field"), tmp_path / "student.onnx")
