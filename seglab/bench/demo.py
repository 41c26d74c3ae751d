"""The main path with scripted clicks: label lakes and ponds in one half of a scene, retrain, map the other half.

The scene is localtileserver's Landsat 7 scene of the Great Salt Lake. The reference is water by MNDWI (green B2
against short-wave infrared B5) with Otsu's threshold. The model sees B5, B4, B2 as red, green, blue: in true colour
the scene's salt flats and brine ponds look alike, in the infrared water is dark.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from scipy import ndimage

from seglab.app.opening import open_session
from seglab.app.session import LabelSession
from seglab.core.annotator import first_click, mndwi, next_click, otsu
from seglab.core.metrics import iou
from seglab.core.windows import Window
from seglab.datasets.examples import example
from seglab.errors import ProjectError

MODEL_BANDS = (5, 4, 2)
"""B5, B4, B2 of the scene, 1-based: short-wave infrared, near infrared, green."""
GREEN, SWIR = 2, 5
"""Bands of MNDWI (Xu 2006)."""
CLICKS = 8
"""Clicks that the annotator spends on an object, at most."""
GOOD = 0.6
"""IoU with the reference from which the annotator accepts a mask: on a pond of 12 x 12 pixels a rim that is one pixel
off costs a third."""
OBJECTS_PER_ROUND = 5
ROUNDS = 2
FILL = 0.7
"""The annotator zooms out until an object spans at most this share of what the model sees."""
SMALLEST, LARGEST = 80, 20000
"""Lakes and ponds of this many pixels are labelled."""


@dataclass(frozen=True)
class Ground:
    """What is true of the scene, and where the annotator may look."""

    water: np.ndarray
    """(rows, cols) bool."""
    labelled_half: np.ndarray
    """(rows, cols) bool: where clicks may fall; the rest is for measuring."""


def water_reference(session: LabelSession) -> np.ndarray:
    """(rows, cols) bool: water by MNDWI and Otsu's threshold."""
    rows, cols = session.shape
    bands, _ = session.scene.read(Window(0, 0, cols, rows), bands=(GREEN, SWIR))
    index = mndwi(bands[0], bands[1])
    return index > otsu(index)


def run_demo(folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Label, retrain and map, and measure what it brought.

    Args:
        folder: the project's folder; what stands there from an earlier run is replaced.
        say: takes lines for a person.

    Returns:
        objects, rounds, iou_before, iou_after (class map against the reference on the half without labels), seconds,
        outputs (paths).
    """
    started = time.monotonic()
    _clear(folder)
    session = open_session(example("landsat"), classes=["water"], project=folder, bands=MODEL_BANDS, author="demo")
    water = water_reference(session)
    half = np.zeros_like(water)
    half[water.shape[0] // 2 :] = True
    ground = Ground(water, half)
    targets = lakes_and_ponds(ground)
    say(f"{len(targets)} lakes and ponds in the southern half; labelling {OBJECTS_PER_ROUND} a round")

    before = after = float("nan")
    for number in range(1, ROUNDS + 1):
        label_some(session, ground, targets, say)
        if number == 1:
            before = map_iou(session, ground)
            say(f"before training: IoU {before:.3f} on the other half")
        training = session.retrain().result()
        after = map_iou(session, ground)
        say(f"round {training.number}: {training.card['seconds']} s, IoU {after:.3f} on the other half")

    exported = [session.export(folder / f"water{suffix}") for suffix in (".gpkg", ".geojson", ".tif")]
    prediction = session.prediction
    outputs = [str(p) for p in exported]
    if prediction is not None:
        outputs += [str(prediction.path), str(prediction.confidence_path)]
    result = {
        "objects": len(session.objects),
        "rounds": len(session.rounds),
        "iou_before": round(before, 4),
        "iou_after": round(after, 4),
        "seconds": round(time.monotonic() - started, 1),
        "outputs": outputs,
    }
    session.close()
    return result


def _clear(folder: Path) -> None:
    """Remove an earlier run's project, and nothing else.

    Raises:
        ProjectError: the folder holds something else.
    """
    if not folder.exists():
        return
    if not (folder / "project.json").exists():
        raise ProjectError(f"{str(folder)!r} is not a project of seglab; pass --out with a folder that is new")
    shutil.rmtree(folder)


def lakes_and_ponds(ground: Ground) -> list[np.ndarray]:
    """The objects that the annotator may label, in a fixed random order: bool masks of the scene.

    Water that reaches into the other half is left out whole.
    """
    parts, count = ndimage.label(ground.water)
    sizes = np.bincount(parts.ravel(), minlength=count + 1)
    elsewhere = set(np.unique(parts[~ground.labelled_half]))
    wanted = [i for i in range(1, count + 1) if SMALLEST <= sizes[i] <= LARGEST and i not in elsewhere]
    order = np.random.default_rng(0).permutation(len(wanted))
    return [parts == wanted[i] for i in order]


def label_some(session: LabelSession, ground: Ground, targets: list[np.ndarray], say: Callable[[str], None]) -> None:
    """Label the next objects; one whose mask is not good after the last click is left for the next round."""
    accepted, left = 0, []
    while targets and accepted < OBJECTS_PER_ROUND:
        target = targets.pop(0)
        clicks, quality = click_object(session, target, ground.labelled_half)
        kept = quality >= GOOD
        say(f"  {int(target.sum())} px, {clicks} clicks, IoU {quality:.2f}: {'accepted' if kept else 'left'}")
        if kept:
            session.accept("water")
            accepted += 1
        else:
            session.reject()
            left.append(target)
    targets += left


def click_object(
    session: LabelSession, target: np.ndarray, allowed: np.ndarray, most: int = CLICKS
) -> tuple[int, float]:
    """Click an object until its mask is good or the clicks are spent.

    Args:
        session: whose model answers.
        target: (rows, cols) bool.
        allowed: (rows, cols) bool, where clicks may fall.
        most: clicks that may be spent, 1 or more.

    Returns:
        clicks used, IoU with the object.
    """
    rows, cols = np.nonzero(target)
    extent = max(np.ptp(rows), np.ptp(cols)) + 1
    session.scale = 2 ** max(0, math.ceil(math.log2(extent / (FILL * session.model_size))))
    proposal = session.click(*first_click(target), crs="pixel")
    quality = iou(proposal.full(), target)
    clicks = 1
    while quality < GOOD and clicks < min(most, CLICKS):
        point = next_click(target, proposal.full(), allowed)
        if point is None:
            break
        proposal = session.click(point.col, point.row, point.positive, crs="pixel")
        quality = iou(proposal.full(), target)
        clicks += 1
    return clicks, quality


def map_iou(session: LabelSession, ground: Ground) -> float:
    """IoU of the class map with the reference where nothing was labelled."""
    prediction = session.predict().result()
    with rasterio.open(prediction.path) as source:
        mapped = source.read(1) == 1
    unseen = ~ground.labelled_half
    return float(iou(mapped & unseen, ground.water & unseen))
