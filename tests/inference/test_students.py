"""Maps made by a student."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch

from seglab.core.raster import Scene
from seglab.core.windows import Window
from seglab.encoding.students import StudentEncoder
from seglab.errors import CheckpointError
from seglab.inference.mapper import class_probabilities
from seglab.inference.plan import WEIGHTS, MappedClass, MapSettings, keep_scene_path, open_plan, plan_of
from seglab.inference.sweep import predict_scene
from seglab.jobs import SilentReporter
from seglab.models.student.network import Student, build_student
from seglab.models.student.spec import student_spec
from seglab.store.parts import PartStore
from tests.inference.conftest import read

SETTINGS = MapSettings(block_size=96, overlap=0.25)


@pytest.fixture(scope="module")
def student() -> Student:
    made = build_student(replace(student_spec("smallest"), image_size=64), 3, seed=4)
    with torch.no_grad():
        made.head.classify.weight *= 40  # so that it is sure of something
    return made.requires_grad_(False).eval()


@pytest.fixture
def scene(lakes_path: Path, tmp_path: Path):
    """A part of the lakes, with two of them."""
    with rasterio.open(lakes_path) as source:
        profile = source.profile | {"width": 240, "height": 144}
        with rasterio.open(tmp_path / "lakes.tif", "w", **profile) as target:
            target.write(source.read(window=((0, 144), (0, 240))))
    with Scene.open(tmp_path / "lakes.tif") as scene:
        yield scene


def classes_of(student: Student, order: tuple[int, ...] = (0, 2)) -> list[MappedClass]:
    names, rows = ("water", "wood", "road"), student.class_rows
    return [MappedClass(place + 1, names[i], "#123456", rows[i]) for place, i in enumerate(order)]


def test_a_class_is_a_row_of_the_students_scores(student, scene):
    encoder, window = StudentEncoder(scene, student), Window(40, 50, 64, 64)
    rows = torch.stack([c.prompt for c in classes_of(student)])
    found = class_probabilities(encoder, window, rows)
    with torch.inference_mode():
        logits = student(student.preprocess(torch.from_numpy(scene.rgb(window)[0])[None]))[:, [0, 2]]
        scores = torch.cat([torch.zeros_like(logits[:, :1]), logits], 1)
        scores = torch.nn.functional.interpolate(scores, (64, 64), mode="bilinear", align_corners=False)
    np.testing.assert_allclose(found, scores[0].softmax(0).numpy(), atol=1e-5)


def test_a_map_in_blocks_is_the_map_in_one(student, scene, tmp_path):
    encoder, classes = StudentEncoder(scene, student), classes_of(student)
    small = predict_scene(SilentReporter(), encoder, classes, tmp_path / "small.tif", SETTINGS, round_number=3)
    large = predict_scene(SilentReporter(), encoder, classes, tmp_path / "large.tif", MapSettings(overlap=0.25))
    assert np.array_equal(read(small.path), read(large.path))
    assert len(np.unique(read(small.path))) > 1


def test_a_worker_elsewhere_loads_the_same_student(student, scene, tmp_path):
    plan = plan_of(StudentEncoder(scene, student), classes_of(student), SETTINGS)
    with PartStore.making(tmp_path / "map.parts", plan.to_json()) as store:
        store.put(WEIGHTS, **plan.weights())
        keep_scene_path(store, plan.encoder.scene)
        again = open_plan(store, "cpu")
        assert again.identity == plan.identity
        window = Window(0, 0, 64, 64)
        assert torch.equal(again.encoder.embedding(window), plan.encoder.embedding(window))
        again.encoder.scene.close()
        store.put(WEIGHTS, **plan.weights() | {"head.classify.bias": np.ones(3, np.float32)})
        keep_scene_path(store, plan.encoder.scene)
        with pytest.raises(CheckpointError, match="not those that the map was begun with"):
            open_plan(store, "cpu")


def test_another_student_or_other_classes_make_another_map(student, scene):
    encoder = StudentEncoder(scene, student)
    first = plan_of(encoder, classes_of(student), SETTINGS).identity
    other = StudentEncoder(scene, build_student(student.spec, 3, seed=5).eval())
    assert first == plan_of(StudentEncoder(scene, student), classes_of(student), SETTINGS).identity
    assert first != plan_of(encoder, classes_of(student, (1, 2)), SETTINGS).identity
    assert first != plan_of(other, classes_of(student), SETTINGS).identity
