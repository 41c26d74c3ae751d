"""What counts as known, and what stays unknown, in a training chip."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import shapely

from seglab.core.prompts import Box, Point, Prompts
from seglab.core.raster import Scene
from seglab.core.views import View
from seglab.core.windows import Window
from seglab.errors import JobCancelled
from seglab.jobs import SilentReporter
from seglab.models.spec import SPECS
from seglab.training.job import RoundConfig
from seglab.training.losses import IGNORE
from seglab.training.plan import Labels, TrainingObject
from seglab.training.samples import JUDGES, RING, build_chips, class_target, held_out_chips
from tests.conftest import LAKES

WINDOW = Window(0, 0, 224, 224)
VALID = np.ones((224, 224), dtype=bool)


def labelled(geometry: shapely.Geometry, window: Window = WINDOW, points: tuple[Point, ...] = (), index: int = 0):
    return TrainingObject(index, geometry, Prompts(points), window)


def test_unlabelled_ground_is_unknown_not_background() -> None:
    labels = Labels(("water",), (labelled(shapely.box(100, 100, 140, 140)),))
    target = class_target(labels, WINDOW, 112, VALID)
    assert (target[50:70, 50:70] == 1).all()
    assert (target == 1).sum() == 20 * 20
    around = target[50 - RING : 70 + RING, 50 - RING : 70 + RING]
    assert (around == 0).sum() > 0
    outside = target.copy()
    outside[50 - RING : 70 + RING, 50 - RING : 70 + RING] = IGNORE
    assert (outside == IGNORE).all()


def test_the_ring_stops_where_the_person_did_not_see() -> None:
    """An object cut by the edge of its window may go on beyond it: no background there."""
    seen = Window(0, 0, 224, 224)
    lake = labelled(shapely.box(180, 80, 224, 140), seen)
    neighbour = Window(112, 0, 224, 224)
    target = class_target(Labels(("water",), (lake,)), neighbour, 112, VALID)
    beyond = (224 - 112) // 2
    assert (target[:, beyond:] == IGNORE).all()
    assert (target[40:70, 34:beyond] == 1).all()
    assert (target[:, :beyond] == 0).any()


def test_reviewed_ground_is_background_and_other_classes_win_over_rings() -> None:
    objects = (labelled(shapely.box(20, 20, 60, 60)), labelled(shapely.box(64, 20, 100, 60), index=1))
    labels = Labels(("water", "field"), objects, (shapely.box(0, 0, 224, 112),))
    target = class_target(labels, WINDOW, 112, VALID)
    assert (target[:56] != IGNORE).all()
    assert (target[70:] == IGNORE).all()
    assert (target[10:30, 32:50] == 2).all()
    assert (target[10:30, 10:30] == 1).all()


def test_negative_clicks_are_background_and_nodata_is_unknown() -> None:
    clicked = labelled(shapely.box(20, 20, 40, 40), points=(Point(150, 60, False), Point(30, 30)))
    valid = VALID.copy()
    valid[:, :100] = False
    target = class_target(Labels(("water",), (clicked,)), WINDOW, 112, valid)
    assert target[30, 75] == 0
    assert (target[:, :50] == IGNORE).all()


def test_other_accepted_objects_are_neither_object_nor_background() -> None:
    reviewed = (shapely.box(0, 0, 224, 224),)
    known = labelled(shapely.box(20, 20, 60, 60))
    target = class_target(
        Labels(("water",), (known,), reviewed, others=(shapely.box(62, 20, 100, 60),)), WINDOW, 112, VALID
    )
    assert (target[12:28, 32:50] == IGNORE).all()
    assert (target[10:30, 10:30] == 1).all()
    assert (target[60:] == 0).all()


# -- chips


class Encoder:
    """What chips need of a window encoder: no network."""

    extra_bands = ()

    def __init__(self) -> None:
        self.model = type("Model", (), {"spec": SPECS["tiny"]})

    def prefix_key(self, window: Window, view: View) -> str:
        return f"{window}{view}"


class CountingScene:
    """A scene that counts how often a window is read."""

    def __init__(self, scene: Scene) -> None:
        self.grid = scene.grid
        self.reads: list[Window] = []
        self._scene = scene

    def rgb(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        self.reads.append(window)
        return self._scene.rgb(window)


@pytest.fixture
def scene(lakes_path: Path) -> Iterator[CountingScene]:
    with Scene.open(lakes_path) as opened:
        yield CountingScene(opened)


def lake(number: int, window: Window) -> TrainingObject:
    col, row, radius = LAKES[number]
    outline = shapely.Point(col, row).buffer(radius)
    prompts = Prompts((Point(col, row), Point(col, row + radius + 8, False)), Box(*outline.bounds))
    return TrainingObject(0, outline, prompts, window)


@pytest.fixture
def labels() -> Labels:
    return Labels(("water",), (lake(0, Window(0, 0, 224, 224)), lake(1, Window(112, 0, 224, 224))))


def test_a_window_is_read_once_for_all_its_views(scene: CountingScene, labels: Labels) -> None:
    chips = build_chips(SilentReporter(), labels, scene, Encoder(), 100, RoundConfig()).chips
    assert len(scene.reads) == len(set(scene.reads)) == 2
    assert len(chips) == len({chip.key for chip in chips}) == 16
    again = build_chips(SilentReporter(), labels, scene, Encoder(), 100, RoundConfig()).chips
    assert {chip.key for chip in again} == {chip.key for chip in chips}
    plain = build_chips(SilentReporter(), labels, scene, Encoder(), 100, RoundConfig(augment=False)).chips
    assert [chip.key for chip in plain] == [f"{w}{View()}" for w in scene.reads[-2:]]


def test_in_every_view_labels_and_prompts_lie_on_their_object(scene: CountingScene, labels: Labels) -> None:
    replayed = 0
    for chip in build_chips(SilentReporter(), labels, scene, Encoder(), 100, RoundConfig()).chips:
        red = chip.rgb[::2, ::2, 0]  # water is dark in it, however a view recolours
        assert chip.masks.shape[1:] == chip.class_target.shape == (112, 112) and len(chip.masks) == len(chip.prompts)
        for mask, prompts in zip(chip.masks, chip.prompts, strict=True):
            assert (red[mask] < 65).mean() > 0.9
            assert (chip.class_target[mask] == 1).all()
            if prompts is None:
                continue
            replayed += 1
            (inside, outside), kinds, corners = prompts
            assert kinds.tolist() == [1, 0]
            assert mask[int(inside[1] / 2), int(inside[0] / 2)] and not mask[int(outside[1] / 2), int(outside[0] / 2)]
            rows, cols = np.nonzero(mask)
            assert corners / 2 == pytest.approx([cols.min(), rows.min(), cols.max() + 1, rows.max() + 1], abs=1.5)
        assert (red[chip.class_target == 0] > 65).mean() > 0.9
    assert replayed > 12


def test_an_object_is_prompted_for_wherever_it_is_whole(scene: CountingScene, labels: Labels) -> None:
    chips = build_chips(SilentReporter(), labels, scene, Encoder(), 2, RoundConfig(augment=False)).chips
    assert sorted(len(chip.masks) for chip in chips) == [1, 1]
    both = Labels(("water",), (lake(0, Window(0, 0, 256, 256)), lake(1, Window(8, 8, 256, 256))))
    chips = build_chips(SilentReporter(), both, scene, Encoder(), 2, RoundConfig(augment=False)).chips
    assert sorted(len(chip.masks) for chip in chips) == [2, 2]


def test_held_out_objects_judge_once_and_only_on_held_out_ground(scene: CountingScene) -> None:
    objects = (lake(0, Window(0, 0, 256, 256)), lake(1, Window(0, 8, 256, 256)))
    ground = shapely.box(0, 0, 128, 160)
    everything = (shapely.box(0, 0, 512, 384),)
    chips = held_out_chips(SilentReporter(), Labels(("water",), objects, everything, (ground,)), scene, Encoder())
    assert [len(chip.masks) for chip in chips] == [1, 1]
    assert [chip.key for chip in chips] == [f"{obj.window}{View()}" for obj in objects]
    assert len({chip.group for chip in chips}) == 1
    for chip, obj in zip(chips, objects, strict=True):
        known = chip.class_target != IGNORE
        held = class_target(Labels(("x",), (TrainingObject(0, ground, Prompts(), obj.window),)), obj.window, 112, VALID)
        outside = known & (held != 1)
        assert (chip.class_target[outside] == 1).all()
        assert (chip.class_target == 0).any() and (chip.class_target[-20:, -20:] == IGNORE).all()


def test_what_a_round_is_shown_and_what_is_left_out(scene: CountingScene) -> None:
    """In whole or in part: what a window shows of its neighbours is in the class map's target too."""
    shown, neighbour, far = lake(0, Window(0, 0, 224, 224)), shapely.box(200, 200, 260, 260), lake(4, WINDOW)
    beyond = TrainingObject(0, neighbour, Prompts(), Window(150, 150, 224, 224))
    fenced = TrainingObject(0, shapely.box(400, 300, 420, 320), Prompts(), Window(288, 160, 224, 224))
    fence = (shapely.box(390, 290, 430, 330) - shapely.box(395, 295, 425, 325),)
    objects = (shown, beyond, fenced)
    found = build_chips(
        SilentReporter(), Labels(("water",), objects, excluded=fence), scene, Encoder(), 1, RoundConfig(augment=False)
    )
    assert len(found.chips) == 1 and found.left_out == 1
    assert found.trained == (0, 1)
    everywhere = Labels(("water",), (shown, far), excluded=(shapely.box(0, 0, 512, 384),))
    nothing = build_chips(SilentReporter(), everywhere, scene, Encoder(), 9, RoundConfig())
    assert (nothing.chips, nothing.left_out, nothing.trained) == ((), 2, ())


def test_judges_are_few_and_come_from_every_place(scene: CountingScene) -> None:
    """90 objects in one window, one in each of three others."""
    crowd, others = Window(0, 0, 224, 224), [Window(c, r, 224, 224) for c, r in ((224, 0), (0, 150), (224, 150))]
    objects = [
        TrainingObject(0, shapely.box(c, r, c + 8, r + 8), Prompts(), crowd)
        for c in range(0, 200, 20)
        for r in range(0, 180, 20)
    ]
    objects += [TrainingObject(0, w.polygon.centroid.buffer(9), Prompts(), w) for w in others]
    labels = Labels(("water",), tuple(objects), excluded=(shapely.box(0, 0, 512, 384),))
    chips, again = (held_out_chips(SilentReporter(), labels, scene, Encoder()) for _ in range(2))
    assert sorted(len(chip.masks) for chip in chips) == [1, 1, 1, JUDGES - 3]
    for one, other in zip(chips, again, strict=True):
        np.testing.assert_array_equal(one.masks, other.masks)
    # all of what is known there is counted all the same
    assert sum((chip.class_target == 1).sum() for chip in chips) > 90 * 4 * 4


def test_reading_held_out_windows_can_be_cancelled(scene: CountingScene, labels: Labels) -> None:
    class Stop(SilentReporter):
        def update(self, *args: object, **values: object) -> None:
            if scene.reads:
                raise JobCancelled("stop")

    with pytest.raises(JobCancelled):
        held_out_chips(Stop(), labels, scene, Encoder())
    assert len(scene.reads) == 1
