"""The precision that training computes in, and who is asked whether it pays."""

from __future__ import annotations

import pytest
import torch

from seglab.models import device
from seglab.models.device import compute, compute_suffix, has_bfloat16

CPU = torch.device("cpu")
WITH, WITHOUT = {"avx512_bf16": True}, {"avx512_f": True, "avx512_bf16": False, "amx_bf16": False}


def _product_dtype() -> torch.dtype:
    return (torch.ones(2, 2) @ torch.ones(2, 2)).dtype


@pytest.mark.parametrize(
    ("capabilities", "width", "expected"),
    [
        (WITH, 768, torch.bfloat16),
        ({"amx_bf16": True}, 768, torch.bfloat16),
        (WITH, 192, torch.float32),
        (WITHOUT, 768, torch.float32),
        ({}, 768, torch.float32),
    ],
)
def test_a_wide_suffix_trains_in_bfloat16_where_the_cpu_has_it(
    capabilities: dict[str, object], width: int, expected: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "_cpu_capabilities", lambda: capabilities)
    with compute_suffix(CPU, width):
        assert _product_dtype() == expected


def test_what_a_person_sees_is_float32_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "_cpu_capabilities", lambda: WITH)
    with compute(CPU):
        assert _product_dtype() == torch.float32


def test_capabilities_are_asked_for_where_pytorch_can_say() -> None:
    assert isinstance(has_bfloat16(device._cpu_capabilities()), bool)
