"""Students of a session: made, kept as rounds, mapped with."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
import shapely

from seglab.app.maps.mapping import map_scale
from seglab.app.rounds.guesses import teacher_guesses
from seglab.app.rounds.round_model import load_round
from seglab.core.windows import Window
from seglab.errors import ModelNotFoundError, NoLabelsError, RoundMismatchError, UnknownRoundError
from seglab.inference.mapper import class_probabilities
from seglab.inference.plan import MapSettings
from seglab.jobs import SilentReporter
from seglab.models.student.teachers import SamTeacher
from tests.app.rounds.test_rounds import label
from tests.conftest import LAKES

QUICK = {"student": "smallest", "epochs": 1}


def test_a_student_is_a_round_that_maps_and_answers_no_clicks(open_lakes, tmp_path) -> None:
    session = open_lakes()
    with pytest.raises(NoLabelsError):
        session.distill(**QUICK)
    label(session)
    with pytest.raises(ModelNotFoundError, match="no student is called 'huge'"):
        session.distill("huge")
    with pytest.raises(UnknownRoundError, match=r"session\.distill\(\) makes one"):
        session.predict(model="student")
    heard = []
    session.subscribe(lambda _, what: heard.append(what))
    made = session.distill(**QUICK).result(120)
    assert heard[-1] == "round"
    assert (made.number, made.parent, session.round) == (1, 0, 0)
    card = made.card
    assert (card["kind"], card["classes"], card["spec"]["image_size"]) == ("student", ["water"], 224)
    assert card["labels"] == [o.id for o in session.objects]
    assert "too few held-out objects" in made.verdict
    with pytest.raises(RoundMismatchError, match="answers no clicks"):
        session.rollback(1)
    assert session.round == 0

    session.rename_class("water", "lake")
    prediction = session.predict(tmp_path / "map.tif", model="student").result(120)
    assert (prediction.round, session.prediction.round) == (1, 1)
    with rasterio.open(prediction.path) as file:
        assert (file.shape, file.tags(1)["class_1"]) == ((384, 512), "lake")
        mapped = file.read(1)
    with pytest.raises(UnknownRoundError, match=r"has \[1\]"):
        session.predict(model=2)

    exported = load_round(session.export_round(1, tmp_path / "student.safetensors"), device="cpu")
    assert [c.name for c in exported.classes] == ["water"]
    in_project = load_round(session.project.folder, 1, device="cpu")
    assert [c.name for c in in_project.classes] == ["lake"]
    with in_project.open(session.scene.path) as scene:
        again = in_project.predict(scene, tmp_path / "again.tif", MapSettings(scale=map_scale(session.state)))
    with rasterio.open(again.path) as file:
        assert np.array_equal(file.read(1), mapped)


def test_no_window_without_labels_shows_ground_that_is_kept_out(open_lakes, monkeypatch) -> None:
    session = open_lakes()
    label(session)
    col, row, radius = LAKES[4]
    closed = shapely.box(col - radius, row - radius, col + radius, row + radius)
    session.never_train(closed, crs="pixel")
    shown: list[np.ndarray] = []

    def stop(reporter, start, making, unlabelled, cache, wishes):
        shown.extend(unlabelled)
        raise ModelNotFoundError("far enough")

    monkeypatch.setattr("seglab.app.rounds.trainer.make_student", stop)
    with pytest.raises(ModelNotFoundError, match="far enough"):
        session.distill(**QUICK).result(60)
    kept_out = session.scene.rgb(Window(col - 8, row - 8, 16, 16))[0]
    assert shown
    for rgb in shown:
        windows = np.lib.stride_tricks.sliding_window_view(rgb, (*kept_out.shape[:2], 3))[:, :, 0]
        assert not (windows == kept_out).all(axis=(2, 3, 4)).any()


def test_a_teacher_guesses_only_where_it_is_sure(open_lakes) -> None:
    session = open_lakes()
    label(session)
    current, window = session._learner.current, Window(100, 20, 224, 224)
    prompts = current.class_prompts(session.state)["water"][None]
    rgb = current.encoder.pixels(window)[0]
    found = teacher_guesses(SilentReporter(), SamTeacher(current.encoder.model), [rgb], 0.9, prompts)[0]
    chances = class_probabilities(current.encoder, window, prompts)
    clear = np.abs(chances.max(0) - 0.9) > 0.02  # the session's embedding is rounded to fp16
    expected = np.where(chances.max(0) >= 0.9, chances.argmax(0), 255)
    assert (found == expected)[clear].mean() > 0.99
    assert {0, 1, 255} >= set(np.unique(found)) >= {0, 1}
