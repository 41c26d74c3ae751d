"""Proposed objects: proposed, confirmed, dismissed, corrected; what lies at a place, and what a click would give."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from shapely.geometry import box

from seglab import errors
from seglab.app.history.as_code import as_code
from seglab.app.history.replay import replay
from seglab.app.history.state import reduce
from seglab.app.labels.nearby import Nearby
from seglab.app.labels.proposed import by_nearness, by_score
from seglab.app.maps import map_regions
from seglab.app.session import LabelSession
from seglab.core.masks import rasterize
from seglab.core.outlines import strips_of
from seglab.jobs import SilentReporter
from tests.conftest import LAKES


@pytest.fixture
def session(open_lakes) -> LabelSession:
    return open_lakes()


def propose(session: LabelSession, *bounds: tuple[int, int, int, int], **options: object) -> tuple[int, ...]:
    settings: dict = {"origin": "a test", "crs": "pixel"} | options
    names = ["water"] * len(bounds)
    scores = np.linspace(0.9, 0.5, len(bounds)).tolist()
    return tuple(p.id for p in session.propose_objects([box(*b) for b in bounds], names, scores, **settings))


THREE = ((10, 10, 30, 30), (50, 10, 70, 30), (90, 10, 110, 30))


def test_confirmed_objects_are_objects_and_keep_where_they_came_from(session: LabelSession) -> None:
    first, second, third = propose(session, *THREE)
    assert [p.score for p in session.proposals] == [0.9, 0.7, 0.5] and session.objects == ()
    (water,) = session.confirm(second)
    (field,) = session.confirm(first, class_name="field")
    session.dismiss(third)
    assert session.proposals == ()
    assert (water.id, water.class_name, water.origin, water.iou) == (second, "water", "a test", 0.7)
    assert (field.id, field.class_name) == (first, "field") and field.prompts.is_empty
    assert field.geometry.equals(box(*THREE[0]))
    assert session.labels["origin"].tolist() == ["a test", "a test"]
    session.edit(first, note="still an object")
    saved = gpd.read_file(session.project.labels_path, layer="labels")
    assert saved["origin"].tolist() == ["a test"] * 2


def test_proposing_tells_how_far_it_is_and_a_cancelled_one_proposes_nothing(session: LabelSession) -> None:
    told = []

    class Reporter(SilentReporter):
        def update(self, done, total=None, message=None, **values) -> None:
            told.append((done, total))
            if len(told) == 5:
                raise errors.JobCancelled("no")

    assert len(propose(session, *THREE, reporter=Reporter())) == 3
    assert told == [(0, 3), (1, 3), (2, 3)]
    with pytest.raises(errors.JobCancelled):
        propose(session, *THREE, reporter=Reporter())
    assert len(session.proposals) == 3


def test_everything_is_undone_and_redone(session: LabelSession, open_lakes) -> None:
    ids = propose(session, *THREE)
    session.confirm(*ids[:2])
    session.dismiss(ids[2])
    words = ["dismiss an object", "confirm 2 objects", "propose 3 objects"]
    assert [session.undo() for _ in words] == words
    assert session.proposals == session.objects == session.state.dismissed == ()
    assert [session.redo() for _ in words] == words[::-1]
    assert {o.id for o in session.objects} == set(ids[:2]) and session.proposals == ()
    assert open_lakes().state == session.state


def test_two_notebooks_answer_each_proposal_once(open_lakes) -> None:
    one, two = open_lakes(), open_lakes()
    ids = propose(one, *THREE)
    two.confirm(ids[0])
    with pytest.raises(errors.UnknownProposalError, match=str(ids[0])):
        one.dismiss(ids[0])
    one.refine(ids[1])
    two.dismiss(ids[1])
    one.accept("water")  # what a person has drawn is not lost
    assert [o.geometry.bounds for o in one.objects] == [THREE[0], THREE[1]]
    # as if both had been written at the same moment, past the checks
    for kind in ("confirm", "dismiss"):
        one.project.append(kind, {"objects": [ids[2]]})
    one.project.append("confirm", {"objects": [ids[2]], "class": "gone"})
    state = reduce(one.project.events())
    assert [o.id for o in state.objects].count(ids[2]) == 1 and state.proposals == ()


def test_an_accepted_object_answers_the_proposals_that_it_covers(session: LabelSession) -> None:
    covered, beside, _ = propose(session, *THREE)
    session.paint(box(8, 8, 28, 30).union(box(50, 10, 54, 30)), crs="pixel")
    session.accept("field")
    assert [p.id for p in session.proposals][:1] == [beside] and len(session.proposals) == 2
    session.undo()
    assert covered in [p.id for p in session.proposals]


def test_a_proposal_is_corrected_before_it_is_accepted(session: LabelSession) -> None:
    first, *_ = propose(session, *THREE)
    mask = session.refine(first)
    assert mask.polygon.equals(box(*THREE[0])) and session.refining == first
    session.reject()
    assert len(session.proposals) == 3
    session.refine(first)
    session.paint(box(30, 10, 40, 30), crs="pixel")
    made = session.accept("field")
    assert made.geometry.equals(box(10, 10, 40, 30)) and made.origin == "a test"
    assert first not in [p.id for p in session.proposals] and len(session.proposals) == 2
    session.undo()
    assert len(session.proposals) == 3


def test_bad_proposals_say_why_and_change_nothing(session: LabelSession) -> None:
    for arguments, says in (
        (([box(0, 0, 9, 9)], []), "as many"),
        (([box(0, 0, 9, 9)], ["water"], [1.5]), "between 0 and 1"),
        (([box(-90, -90, -80, -80)], ["water"]), "nothing to propose"),
    ):
        with pytest.raises(errors.ProposalError, match=says):
            session.propose_objects(*arguments, origin="a test", crs="pixel")
    ids = propose(session, *THREE)
    events = len(session.project.events())
    with pytest.raises(errors.UnknownClassError):
        session.confirm(ids[0], class_name="road")
    with pytest.raises(errors.UnknownProposalError, match="named"):
        session.confirm()
    with pytest.raises(errors.NoPredictionError, match="map it"):
        session.propose_from_map()
    assert len(session.project.events()) == events


def test_imported_labels_can_be_proposed(session: LabelSession, tmp_path: Path) -> None:
    shapes = [session.grid.geometry_from_pixel(box(*b), "EPSG:4326") for b in THREE]
    labels = gpd.GeoDataFrame({"class": ["water", "quarry", "water"]}, geometry=shapes, crs=4326)
    labels.to_file(tmp_path / "old.geojson")
    heard = []
    session.subscribe(lambda _, what: heard.append(what))
    assert session.import_labels(tmp_path / "old.geojson", as_proposals=True) == 3
    assert session.objects == () and "quarry" in session.classes and "classes" in heard
    assert {(p.origin, p.score) for p in session.proposals} == {("old.geojson", 1.0)}
    session.rename_class("quarry", "pit")
    assert [p.class_name for p in session.proposals] == ["water", "pit", "water"]


# -- from the class map


@pytest.fixture
def mapped(session: LabelSession, tmp_path: Path) -> LabelSession:
    """A session with a made map: all lakes water with a confidence each, one field, and a speck."""
    rows, cols = np.mgrid[: session.shape[0], : session.shape[1]] + 0.5
    classes, confidence = np.zeros(session.shape, np.uint8), np.full(session.shape, 99, np.uint8)
    for place, (col, row, radius) in enumerate(LAKES):
        lake = (cols - col) ** 2 + (rows - row) ** 2 <= radius**2
        classes[lake], confidence[lake] = 1, 90 - 10 * place
    classes[300:340, 400:440], confidence[300:340, 400:440] = 2, 95
    classes[5:7, 500:503] = 1
    classes[:, 511] = 255
    data = {"round": 0, "classes": ["water", "field"]}
    for name, values in (("path", classes), ("confidence", confidence)):
        data[name] = str(tmp_path / f"{name}.tif")
        with rasterio.open(
            data[name], "w", driver="GTiff", width=512, height=384, count=1, dtype="uint8",
            crs=session.grid.crs, transform=session.grid.transform,
        ) as target:  # fmt: skip
            target.write(values, 1)
    session.project.append("prediction", data)
    session.add_class("road")
    return session


def test_regions_of_the_map_are_proposed_the_most_confident_first(mapped: LabelSession, monkeypatch) -> None:
    # lakes lie in several strips
    monkeypatch.setattr(map_regions, "strips_of", lambda shape: strips_of(shape, 10 * shape[1]))
    found = mapped.propose_from_map(min_area_px=20, least_confidence=0.55)
    assert [p.class_name for p in found] == ["field", *["water"] * 4]
    assert [p.score for p in found] == [0.95, 0.9, 0.8, 0.7, 0.6] and found == mapped.proposals
    for p, (col, row, radius) in zip(found[1:], LAKES, strict=False):
        assert p.geometry.bounds == (col - radius, row - radius, col + radius, row + radius)
        assert p.window.polygon.covers(p.geometry) and p.origin == "class map of round 0"
    assert mapped.undo() == "propose 5 objects"


def test_what_is_accepted_reviewed_or_dismissed_is_not_proposed(mapped: LabelSession) -> None:
    first, second, third = LAKES[:3]
    mapped.paint(shapely.Point(*first[:2]).buffer(first[2]), crs="pixel")
    mapped.accept("water")
    mapped.paint(box(second[0] + 30, second[1] - 5, second[0] + 60, second[1] + 5), crs="pixel")
    mapped.accept("field")  # reaches a little into the second lake
    mapped.review(box(third[0] - 40, third[1] - 40, third[0] + 40, third[1] + 40), crs="pixel")
    found = mapped.propose_from_map()
    assert [p.score for p in found] == [0.95, 0.8, 0.6, 0.5]
    taken = shapely.union_all([o.geometry for o in mapped.objects])
    assert all(p.geometry.intersection(taken).area == 0 for p in found)
    assert rasterize(found[1].geometry, mapped.shape).sum() == found[1].geometry.area  # on pixel edges

    mapped.dismiss(found[0].id)
    again = mapped.propose_from_map()  # those nobody has answered are replaced
    assert [p.score for p in again] == [0.8, 0.6, 0.5] and again == mapped.proposals
    mapped.rename_class("field", "acre")
    mapped.undo()
    mapped.undo()
    assert [p.score for p in mapped.proposals] == [0.8, 0.6, 0.5]


def test_orders(session: LabelSession) -> None:
    places = [(x, y, x + 8, y + 8) for x, y in ((10, 10), (400, 300), (30, 10), (410, 320), (20, 30))]
    propose(session, *places)
    left = [p.geometry.bounds[0] < 200 for p in by_nearness(session.proposals)]
    assert sum(a != b for a, b in pairwise(left)) == 1  # across the scene once
    assert [p.score for p in by_score(session.proposals[::-1])] == [0.9, 0.8, 0.7, 0.6, 0.5]
    assert by_nearness(()) == []


# -- as code, and replayed


def test_the_log_as_code_and_replayed_leads_to_the_same(session: LabelSession, tmp_path: Path, monkeypatch) -> None:
    ids = propose(session, *THREE, (200, 10, 220, 30), (250, 10, 270, 30))
    session.confirm(ids[0], ids[1], class_name="field")
    session.dismiss(ids[2])
    session.refine(ids[3])
    session.paint(box(220, 10, 225, 30), crs="pixel")
    session.accept("water")
    session.edit(ids[0], note="seen")
    session.propose_objects([box(300, 10, 310, 30)], ["road"], origin="b", instead_of=[ids[4]], crs="pixel")
    assert replay(SilentReporter(), session.project.folder).equal
    monkeypatch.chdir(tmp_path)
    names: dict[str, LabelSession] = {}
    code = as_code(session.project.events(), session.project.manifest, load=session._learner.load)
    assert "has no call here" not in code
    exec(compile(code, "as_code", "exec"), names)
    again = names["session"]
    try:
        assert again.classes == session.classes
        for kind in ("objects", "proposals"):
            one, other = (
                [(o.class_name, shapely.normalize(o.geometry).wkt, o.origin) for o in getattr(s, kind)]
                for s in (again, session)
            )
            assert one == other and one
        assert [o.note for o in again.objects] == [o.note for o in session.objects]
    finally:
        again.close()


def test_an_import_with_new_classes_as_code(session: LabelSession, tmp_path: Path, monkeypatch) -> None:
    gpd.GeoDataFrame({"class": ["quarry"]}, geometry=[box(10, 10, 30, 30)]).to_file(tmp_path / "old.gpkg")
    session.import_labels(tmp_path / "old.gpkg")
    monkeypatch.chdir(tmp_path)
    names: dict[str, LabelSession] = {}
    exec(as_code(session.project.events(), session.project.manifest), names)
    try:
        assert [o.class_name for o in names["session"].objects] == ["quarry"]
        assert names["session"].classes == session.classes
    finally:
        names["session"].close()


# -- what lies at a place


def test_the_object_at_a_place(session: LabelSession) -> None:
    made = []
    for bounds in ((10, 10, 200, 200), (50, 50, 100, 100)):
        session.paint(box(*bounds), crs="pixel")
        made.append(session.accept("water").id)
    (waiting,) = propose(session, (300, 10, 320, 30))
    at = lambda x, y: getattr(session.object_at(x, y, crs="pixel"), "id", None)  # noqa: E731
    assert (at(20, 20), at(70, 70), at(50, 70)) == (made[0], made[1], made[1])
    assert at(250, 250) is None and at(-5, -5) is None and at(310, 20) is None
    assert session.proposal_at(310, 20, crs="pixel").id == waiting
    lon, lat = session.grid.from_pixel(70, 70, "EPSG:4326")
    assert session.object_at(lon, lat).id == made[1]
    session.delete(made[1])
    assert at(70, 70) is None
    session.confirm(waiting)
    assert at(310, 20) == waiting and session.proposal_at(310, 20, crs="pixel") is None


def test_a_peek_is_the_mask_of_a_click_and_leaves_no_trace(session: LabelSession) -> None:
    col, row, _ = LAKES[0]
    assert session.peek(col, row, crs="pixel") is None  # not encoded: nothing is computed
    session.click(col, row, crs="pixel")
    session.reject()
    heard = []
    session.subscribe(lambda _, what: heard.append(what))
    events = session.project.events()
    seen = session.peek(col + 3, row, crs="pixel")
    more = session.peek(col - 3, row, crs="pixel")
    assert session.mask is None and session.prompts.is_empty and heard == []
    clicked = session.click(col + 3, row, crs="pixel")
    assert np.array_equal(seen.array, clicked.array) and seen.iou == clicked.iou
    assert not np.array_equal(more.array, np.zeros_like(more.array))
    corrected = session.peek(col + 20, row, positive=False, crs="pixel")
    assert session.mask is clicked
    assert np.array_equal(corrected.array, session.click(col + 20, row, positive=False, crs="pixel").array)
    assert session.peek(-5, -5, crs="pixel") is None
    assert session.project.events() == events


# -- many


def test_an_answer_among_a_thousand_looks_at_few(session: LabelSession, monkeypatch) -> None:
    ids = propose(session, *((x, y, x + 3, y + 3) for y in range(0, 320, 8) for x in range(0, 200, 8)))
    assert len(ids) == 1000
    looked_at: list[int] = []
    of = Nearby.of
    monkeypatch.setattr(Nearby, "of", lambda *a: looked_at.append(len(of(*a))) or of(*a))
    decoded: list[int] = []
    from_wkb = shapely.from_wkb
    monkeypatch.setattr(shapely, "from_wkb", lambda some: decoded.append(np.size(some)) or from_wkb(some))
    session.confirm(ids[0])
    session.dismiss(ids[1])
    session.undo()
    assert len(session.proposals) == len(ids) - 1
    assert decoded == [] and len(looked_at) == 2
