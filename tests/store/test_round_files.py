"""Rounds in files of their own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from seglab.errors import RoundFileError
from seglab.store.round_files import read_round_file, write_round_file

TENSORS = {"a": np.arange(6, dtype=np.float32).reshape(2, 3).T, "b": np.array([1, 2], np.int64)}
CARD = {"round": 3, "classes": ["Wald", "湖"], "losses": [0.5, 0.25], "validation": None}


def test_round_trip(tmp_path: Path) -> None:
    write_round_file(tmp_path / "r.safetensors", TENSORS, CARD)
    tensors, card = read_round_file(tmp_path / "r.safetensors")
    assert card == CARD
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        np.testing.assert_array_equal(tensors[name], tensor)


def test_another_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RoundFileError, match="choose a name"):
        write_round_file(tmp_path / "r.pt", TENSORS, CARD)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"not a round", None])
def test_what_is_no_round_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "r.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RoundFileError, match="export it again"):
        read_round_file(path)


def test_plain_weights_are_no_round(tmp_path: Path) -> None:
    import safetensors.numpy

    safetensors.numpy.save_file({"a": np.zeros(2, np.float32)}, tmp_path / "w.safetensors")
    with pytest.raises(RoundFileError, match="seglab_round"):
        read_round_file(tmp_path / "w.safetensors")


@pytest.mark.parametrize("card", [["no", "card"], {"round": 1}, {"classes": [" water"]}, {"classes": [1]}])
def test_a_card_without_classes_is_refused(tmp_path: Path, card: object) -> None:
    import json

    import safetensors.numpy

    path = tmp_path / "r.safetensors"
    safetensors.numpy.save_file({"a": np.zeros(2, np.float32)}, path, {"seglab_round": json.dumps(card)})
    with pytest.raises(RoundFileError, match="export it again"):
        read_round_file(path)
