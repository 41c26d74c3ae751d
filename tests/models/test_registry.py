"""Models by name, and how another process finds the same one."""

from __future__ import annotations

from pathlib import Path

import pytest

from seglab.errors import ModelNotFoundError
from seglab.models.registry import embedded_weights, load_model
from seglab.models.spec import SPECS, ModelOrigin


def test_a_model_knows_how_it_is_loaded_again() -> None:
    model = load_model("tiny", device="cpu", adapt_from="last")
    assert model.origin == ModelOrigin("tiny", None)
    assert model.adapt_from == 7 and model.band_branch is None
    assert model.branch_off().origin == model.origin
    again = load_model(model.origin.name, checkpoint=model.origin.checkpoint, device="cpu", adapt_from=7)
    assert again.base_hash() == model.base_hash() and again.encoder_hash() == model.encoder_hash()


def test_a_given_file_is_found_from_any_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    weights = embedded_weights("tiny")
    monkeypatch.chdir(weights.parent)
    model = load_model("tiny", checkpoint=weights.name, device="cpu")
    assert model.origin == ModelOrigin("tiny", weights)
    monkeypatch.chdir(tmp_path)
    assert load_model("tiny", checkpoint=model.origin.checkpoint, device="cpu").base_hash() == model.base_hash()


def test_extra_bands_come_with_a_branch_that_is_zero() -> None:
    model = load_model("tiny", device="cpu", extra_bands=2)
    assert model.band_branch.extra == 2
    assert all(not parameter.any() and not parameter.requires_grad for parameter in model.band_branch.parameters())


def test_unseen_is_the_same_network() -> None:
    tiny, unseen = SPECS["tiny"], SPECS["tiny_unseen"]
    assert {key for key in vars(tiny) if getattr(tiny, key) != getattr(unseen, key)} == {"name"}


def test_an_unknown_name_says_which_there_are() -> None:
    with pytest.raises(ModelNotFoundError, match=r"'huge'; choose one of .*tiny"):
        load_model("huge")
