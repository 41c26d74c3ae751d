"""What crosses to the training process comes out as it went in."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seglab.errors import TrainingError
from seglab.models.spec import ModelOrigin
from seglab.training.exchange import (
    read_job,
    read_outcome,
    read_tensors,
    write_job,
    write_outcome,
    write_tensors,
)
from seglab.training.job import RoundConfig, RoundOutcome, TrainingChip, TrainingJob
from seglab.training.validation import Measured, Validation
from tests.training.made_jobs import make_chip, make_job

NAMES = st.text("abc._/é", min_size=1, max_size=8)
SHAPES = arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
ARRAYS = st.sampled_from(["f4", "f2", "u1", "i8", "?"]).flatmap(lambda kind: arrays.arrays(kind, SHAPES))
TENSORS = st.dictionaries(NAMES, ARRAYS, max_size=4)


def assert_equal(found: object, wanted: object) -> None:
    """Equal in value, type, dtype and shape, all the way down."""
    assert type(found) is type(wanted)
    if isinstance(wanted, np.ndarray):
        assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
        np.testing.assert_array_equal(found, wanted)
    elif isinstance(wanted, TrainingJob | TrainingChip | RoundOutcome | RoundConfig):
        for field in fields(wanted):
            assert_equal(getattr(found, field.name), getattr(wanted, field.name))
    elif isinstance(wanted, tuple):
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            assert_equal(one, other)
    elif isinstance(wanted, dict):
        assert found.keys() == wanted.keys()
        for key in wanted:
            assert_equal(found[key], wanted[key])
    else:
        assert found == wanted


@st.composite
def chips(draw: st.DrawFn) -> TrainingChip:
    count = draw(st.integers(0, 3))
    prompt = st.tuples(
        arrays.arrays("f4", (2, 2), elements=st.floats(0, 224, width=32)),
        arrays.arrays("i8", (2,), elements=st.integers(0, 1)),
        st.none() | arrays.arrays("f4", (4,), elements=st.floats(0, 224, width=32)),
    )
    return TrainingChip(
        key=draw(NAMES),
        rgb=draw(arrays.arrays("u1", (4, 4, 3))),
        extra=draw(st.none() | arrays.arrays("f4", (2, 4, 4))),
        masks=draw(arrays.arrays("?", (count, 2, 2))),
        prompts=tuple(draw(st.none() | prompt) for _ in range(count)),
        class_target=draw(arrays.arrays("i8", (2, 2))),
        group=draw(NAMES),
    )


@given(
    st.lists(chips(), max_size=3),
    st.lists(chips(), max_size=2),
    TENSORS,
    st.none() | st.just(Path("/somewhere/weights é.pth").absolute()),
    st.none() | st.sampled_from(["cpu", "cuda:0"]),
)
@settings(max_examples=40, deadline=None)
def test_a_job_comes_back_equal(some, held_out, parent, checkpoint, device) -> None:
    job = replace(
        make_job(),
        origin=ModelOrigin("vit_b", checkpoint),
        chips=tuple(some),
        held_out=tuple(held_out),
        parent=parent,
        classes=("wáter", "field"),
        config=RoundConfig(steps=7, bce="focal", augment=False, learning_rate=0.1),
        cache_folder=checkpoint,
        device=device,
    )
    with TemporaryDirectory() as folder:
        write_job(Path(folder), job)
        assert_equal(read_job(Path(folder)), job)


def test_turned_arrays_are_not_scrambled(tmp_path: Path) -> None:
    chip = make_chip()
    turned = replace(chip, rgb=np.rot90(chip.rgb), masks=chip.masks[:, ::-1, ::2], class_target=chip.class_target.T)
    write_job(tmp_path, replace(make_job(), chips=(turned,)))
    assert_equal(read_job(tmp_path).chips[0], turned)


@given(TENSORS, st.booleans())
@settings(max_examples=30, deadline=None)
def test_an_outcome_comes_back_equal(tensors, validated) -> None:
    figures = {"iou": Measured(0.5, 0.25, 0.75), "one place": Measured(0.5, None, None), "none": None}
    judged = Validation("worse", "worse: IoU fell", 7, figures, figures, figures)
    outcome = RoundOutcome(
        tensors,
        (0.5, float("inf")),
        None,
        judged if validated else None,
        1.5,
        {"steps": 3, "bce": "bce", "augment": True},
        312.5,
        ("memory",),
    )
    with TemporaryDirectory() as folder:
        write_outcome(Path(folder), outcome)
        assert_equal(read_outcome(Path(folder)), outcome)


@pytest.mark.parametrize("name", ["job.json", "job.safetensors"])
@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_damaged_files_say_so(tmp_path: Path, name: str, damage: str) -> None:
    write_job(tmp_path, make_job())
    path = tmp_path / name
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(TrainingError, match=r"cannot read.*untouched"):
        read_job(tmp_path)


def test_a_folder_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"cannot write.*TMPDIR"):
        write_tensors(tmp_path / "gone" / "x.safetensors", {"a": np.zeros(1)})
    with pytest.raises(TrainingError, match="cannot read"):
        read_tensors(tmp_path / "gone" / "x.safetensors")


def test_relative_folders_cross_as_absolute_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The training process works in another folder than the session."""
    monkeypatch.chdir(tmp_path)
    origin = ModelOrigin("vit_b", Path("weights.pth"))
    write_job(tmp_path, replace(make_job(Path("project") / "prefixes"), origin=origin))
    monkeypatch.chdir(tmp_path.parent)
    found = read_job(tmp_path)
    assert found.cache_folder == tmp_path / "project" / "prefixes"
    assert found.origin.checkpoint == tmp_path / "weights.pth"


def test_a_model_without_an_origin_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="isolate=False"):
        write_job(tmp_path, replace(make_job(), origin=None))
