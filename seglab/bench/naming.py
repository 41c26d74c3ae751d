"""What a first round learns from named clusters, beside one from ordinary clicks: `seglab bench naming`.

Both people spend the same clicks in the southern half of the packaged Landsat scene. One lets `session.propose` find
clusters there and names the largest ones, one click each, by what most of their ground is: water or land. The other
clicks lakes and ponds as in `seglab demo`. Each trains a first round, which maps the northern half, where nobody
labelled anything. The reference is that of the demo: MNDWI with Otsu's threshold.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import rasterio
import shapely

from seglab.app.opening import open_session
from seglab.app.session import LabelSession
from seglab.bench.demo import GOOD, MODEL_BANDS, Ground, click_object, lakes_and_ponds, water_reference
from seglab.bench.simulation import Say
from seglab.core.metrics import confusion, mean_iou
from seglab.datasets.examples import example

CLICKS = 10
"""That each person spends."""
PATIENCE = 3
"""Clicks on one lake, at most: one that is not good then is left."""
CLUSTERS = 8
"""That are asked for; the largest CLICKS of them are named."""
WATER, LAND = "water", "land"


def run_naming(
    say: Say, steps: int | None = None, n_clusters: int = CLUSTERS, seed: int = 0, device: str | None = None
) -> dict[str, Any]:
    """Label in both ways, train, map, and compare.

    Args:
        say: takes lines for a person.
        steps: of the rounds; the recipe's if None.
        n_clusters: that are asked for, at most CLICKS.
        seed: of the clusters.
        device: "cuda", "mps" or "cpu"; chosen if None.

    Returns:
        By way, "clusters" and "clicks": clicks, objects, seconds (of finding clusters and training), and mIoU over
        water and all else on the other half before and after the round. JSON values only.
    """
    found = {}
    for way in ("clusters", "clicks"):
        with (
            TemporaryDirectory(prefix="seglab-") as folder,
            open_session(
                example("landsat"),
                classes=[WATER],
                project=Path(folder) / "naming.seglab",
                bands=MODEL_BANDS,
                device=device,
            ) as session,
        ):
            water = water_reference(session)
            half = np.zeros_like(water)
            half[water.shape[0] // 2 :] = True
            ground = Ground(water, half)
            spent = _name(session, ground, n_clusters, seed) if way == "clusters" else _click(session, ground)
            before = _map_miou(session, ground)
            made = session.retrain(steps).result()
            after = _map_miou(session, ground)
            seconds = round(float(made.card["seconds"]), 1)
            found[way] = {"clicks": spent, "objects": len(session.objects), "seconds": seconds}
            found[way] |= {"miou_before": round(before, 4), "miou": round(after, 4)}
            say(
                f"{way}: {spent} clicks, {len(session.objects)} objects, mIoU {before:.3f}, after the round {after:.3f}"
            )
    return found


def format_table(found: dict[str, Any]) -> str:
    """The result as a Markdown table."""
    lines = ["| | clicks | objects | mIoU before | after a round |", "|---|---:|---:|---:|---:|"]
    for way, f in found.items():
        lines.append(f"| {way} | {f['clicks']} | {f['objects']} | {f['miou_before']:.3f} | {f['miou']:.3f} |")
    return "\n".join(lines)


def _name(session: LabelSession, ground: Ground, n_clusters: int, seed: int) -> int:
    """Find clusters in the half and name them; the clicks that it took."""
    rows, cols = ground.water.shape
    session.set_area_of_interest(shapely.box(0, rows // 2, cols, rows), crs="pixel")
    clusters = session.propose(n_clusters, seed=seed).result()
    with rasterio.open(clusters.path) as source:
        values = source.read(1)
    named = clusters.clusters[:CLICKS]
    for cluster in named:
        inside = np.isin(values, cluster.values) & ground.labelled_half
        session.name_cluster(cluster.number, WATER if ground.water[inside].mean() > 0.5 else LAND)
    session.set_area_of_interest(None)
    return len(named)


def _click(session: LabelSession, ground: Ground) -> int:
    """Click lakes and ponds until the clicks are spent; how many they were."""
    spent = 0
    for target in lakes_and_ponds(ground):
        clicks, quality = click_object(session, target, ground.labelled_half, min(PATIENCE, CLICKS - spent))
        spent += clicks
        if quality >= GOOD:
            session.accept(WATER)
        else:
            session.reject()
        if spent >= CLICKS:
            break
    return spent


def _map_miou(session: LabelSession, ground: Ground) -> float:
    """Mean IoU of water and of all else where nobody labelled."""
    prediction = session.predict().result()
    with rasterio.open(prediction.path) as source:
        mapped = source.read(1) == 1 + list(session.classes).index(WATER)
    unseen = ~ground.labelled_half
    return float(mean_iou(confusion(mapped[unseen].astype(np.int64), ground.water[unseen].astype(np.int64), 2)))
