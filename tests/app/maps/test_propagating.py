"""More of what was accepted: found by examples, proposed where nothing is said yet, here and in another scene."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin
from shapely import union_all
from shapely.geometry import Point, box

from seglab.app.session import LabelSession
from seglab.errors import NoLabelsError, ProjectError, ProposalError, UnknownClassError, UnknownObjectError

PONDS = ((50, 50, 24), (160, 60, 28), (60, 165, 26), (165, 165, 22))
"""(col, row, radius) of the ponds in a scene of one window."""
TRUTH = [Point(col, row).buffer(radius) for col, row, radius in PONDS]


def write_ponds(path: Path, numbers: tuple[int, ...], seed: int) -> Path:
    """A scene of 224 x 224 pixels with some of the ponds."""
    rng, (rows, cols) = np.random.default_rng(seed), np.mgrid[:224, :224] + 0.5
    water = np.any([(cols - c) ** 2 + (rows - r) ** 2 <= d**2 for c, r, d in (PONDS[i] for i in numbers)], axis=0)
    image = np.where(water, np.array([24, 46, 92])[:, None, None], np.array([120, 120, 80])[:, None, None])
    with rasterio.open(
        path, "w", driver="GTiff", width=224, height=224, count=3, dtype="uint8", crs="EPSG:32633",
        transform=from_origin(500_000 + 5_000 * seed, 5_000_000, 10, 10),
    ) as target:  # fmt: skip
        target.write(np.clip(image + rng.normal(0, 9, image.shape), 0, 255).astype(np.uint8))
    return path


@pytest.fixture
def session(open_lakes: Callable[..., LabelSession], tmp_path: Path) -> LabelSession:
    """A session in which the first of four ponds is accepted."""
    session = open_lakes(source=write_ponds(tmp_path / "ponds.tif", (0, 1, 2, 3), 0))
    session.prefetches = False
    session.paint(TRUTH[0], crs="pixel")
    session.accept("water")
    return session


def ponds_of(proposals) -> set[int]:
    """Numbers of the ponds that are among them, by an IoU of 0.7."""
    return {
        i
        for i, pond in enumerate(TRUTH)
        for one in proposals
        if one.geometry.intersection(pond).area >= 0.7 * one.geometry.union(pond).area
    }


def test_the_other_ponds_are_proposed_first(session: LabelSession) -> None:
    found = session.propagate("water").result()
    assert ponds_of(found[:3]) == {1, 2, 3}
    assert [p.score for p in found] == sorted((p.score for p in found), reverse=True)
    assert {p.class_name for p in found} == {"water"} and found[0].origin == "like accepted objects, by round 0"
    assert session.proposals == found


def test_what_is_answered_stays_so_and_what_is_not_is_replaced(session: LabelSession) -> None:
    session.propagate("water").result()
    found = session.propagate("water", count=2).result()
    assert session.proposals == found and len(found) == 2
    session.dismiss(found[0].id)
    session.review(found[1].geometry, crs="pixel")
    again = session.propagate("water").result()
    answered = union_all([p.geometry for p in found])
    assert ponds_of(again) and all(p.geometry.intersection(answered).area < 0.5 * p.geometry.area for p in again)


def test_what_waits_already_is_not_proposed_twice(session: LabelSession) -> None:
    session.propose_objects([TRUTH[1]], ["water"], origin="a test", crs="pixel")
    found = session.propagate("water").result()
    assert 1 not in ponds_of(found) and len(session.proposals) == len(found) + 1


def test_it_goes_to_another_scene(session: LabelSession, tmp_path: Path) -> None:
    name = session.add_scene(write_ponds(tmp_path / "next.tif", (1, 2), 1))
    other = session.open_scene(name)
    try:
        heard = []
        other.subscribe(lambda told, what: heard.append(what))
        found = session.propagate("water", scene=name).result()
        assert session.proposals == () and other.proposals == found and "classes" in heard
        ponds = union_all([TRUTH[1], TRUTH[2]])
        assert 1 in ponds_of(found) and all(p.geometry.intersection(ponds).area > 0.7 * p.geometry.area for p in found)
        other.undo()
        assert other.proposals == ()
    finally:
        other.close()


def test_refusals(session: LabelSession) -> None:
    with pytest.raises(UnknownClassError):
        session.propagate("sea")
    with pytest.raises(NoLabelsError, match="no 'field' is accepted"):
        session.propagate("field")
    with pytest.raises(UnknownObjectError, match="object 99 is no accepted 'water'"):
        session.propagate("water", like=[99])
    with pytest.raises(ProjectError, match="no scene 'x'"):
        session.propagate("water", scene="x")
    session.review(box(0, 0, 224, 224), crs="pixel")
    with pytest.raises(ProposalError, match="nothing like it"):
        session.propagate("water", like=[session.objects[0].id]).result()
    assert session.proposals == ()
