"""A student out of its tensors and card."""

from __future__ import annotations

import json

import pytest
import torch

from seglab.errors import RoundMismatchError
from seglab.models.student.network import build_student
from seglab.models.student.restore import restore_student, student_identity, student_tensors
from seglab.models.student.spec import student_spec


def test_a_saved_student_computes_the_same():
    student = build_student(student_spec("smallest"), 2, seed=3).eval()
    card = json.loads(json.dumps(student_identity(student) | {"classes": ["lake", "field"]}))
    again = restore_student(student_tensors(student), card)
    image = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(student(image), again(image))
    assert not any(p.requires_grad for p in again.parameters())


def test_what_is_no_student_is_refused():
    student = build_student(student_spec("smallest"), 1)
    card = student_identity(student) | {"classes": ["lake"]}
    with pytest.raises(RoundMismatchError, match="no student"):
        restore_student({}, {"classes": ["lake"], "model": "tiny"})
    with pytest.raises(RoundMismatchError, match="distill it again"):
        restore_student(student_tensors(student), card | {"classes": ["lake", "field"]})
    with pytest.raises(RoundMismatchError, match="distill it again"):
        restore_student(student_tensors(student), card | {"spec": {"name": "odd", "wheels": 4}})
