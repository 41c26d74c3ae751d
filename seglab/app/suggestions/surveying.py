"""Cheap passes over some windows of a scene: what active learning's strategies choose by."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from shapely import STRtree
from shapely.geometry.base import BaseGeometry

from seglab.active.expected_iou import peaks
from seglab.active.registry import Strategy
from seglab.active.survey import BASE, BEFORE, FLIPS, IOUS, REFERENCE, Survey
from seglab.app.history.state import State
from seglab.app.maps.mapping import map_scale, mapped_classes
from seglab.app.rounds.rounds import CurrentModel
from seglab.app.suggestions.candidates import budget, candidates
from seglab.core.masks import rasterize
from seglab.core.windows import Window
from seglab.encoding.encoder import WindowEncoder
from seglab.errors import SuggestionError
from seglab.inference.mapper import decoded_classes, mirrored_logits
from seglab.jobs import Reporter
from seglab.models.device import compute
from seglab.models.hashing import tensor_hash
from seglab.models.spec import POSITIVE
from seglab.store.cache import ArrayCache

CELLS = 64
"""Cells along a window's side, at most, that its class map is kept at: the embedded model's 56 stay as they are."""
KEPT_BYTES = 64 * 2**20
"""Budget of what is known of windows: 1,000 of them with three classes take 50 MB."""
LABELLED = 24
"""Windows with labels whose looks count, at most: those of the latest objects."""
COSTS = {BEFORE: 1.0, BASE: 1.0, FLIPS: 3.0, IOUS: 0.5, REFERENCE: 0.0}
"""What a pass takes, in windows of a map, at most."""

Outlines = Sequence[tuple[str, BaseGeometry]]
"""A weak reference: names of classes and where they are, scene pixels."""


@dataclass(frozen=True)
class Looker:
    """A model that looks at windows, and the classes that it looks for."""

    encoder: WindowEncoder
    prompts: torch.Tensor | None
    """(C, prompt_dim); None before any class has an object."""
    known: tuple[bool, ...]
    """Of the C classes that are asked for: whether the model can map them; the others have no chance."""
    identity: str
    """Of everything but the encoder that the classes depend on."""

    @classmethod
    def of(cls, model: CurrentModel, state: State, names: Sequence[str]) -> Looker:
        """A model's, for classes by name."""
        prompts = model.class_prompts(state) if names else {}
        known = [prompts[name] for name in names if name in prompts]
        stacked = torch.stack(known) if known else None
        sam = model.encoder.model.sam
        decoder = {**sam.mask_decoder.state_dict(keep_vars=True), "none": sam.prompt_encoder.no_mask_embed.weight}
        identity = tensor_hash(decoder | ({} if stacked is None else {"prompts": stacked}), repr(names))
        return cls(model.encoder, stacked, tuple(name in prompts for name in names), identity)


class Surveyor:
    """Looks at windows, and remembers what it saw: a round that is asked again costs only what is new.

    What is remembered belongs to a model's weights, its class prompts and the pixels. After a round, the windows that
    are still candidates are decoded anew; their frozen prefixes come from the cache, if that has room for them.
    """

    def __init__(self) -> None:
        self._seen = ArrayCache(KEPT_BYTES)
        self.looked = 0
        """Passes over single windows so far that were not remembered."""

    def survey(
        self,
        reporter: Reporter,
        current: CurrentModel,
        state: State,
        strategy: Strategy,
        *,
        earlier: Mapping[str, Callable[[], CurrentModel]],
        reference: Outlines | None = None,
    ) -> Survey:
        """Look at the candidate windows of a scene.

        Args:
            reporter: told how many windows have been looked at; may cancel.
            current: the model in use, with the scene.
            state: what is labelled.
            strategy: says which passes are needed.
            earlier: loads the models of the passes BEFORE and BASE.
            reference: of the pass REFERENCE.

        Raises:
            SuggestionError: a pass is needed for which there is no model or reference.
        """
        lacking = [name for name in strategy.needs if name in (BEFORE, BASE) and name not in earlier]
        if lacking or (REFERENCE in strategy.needs and reference is None):
            raise SuggestionError(_LACKING[lacking[0] if lacking else REFERENCE].format(name=strategy.name))
        encoder, scale, size = current.encoder, map_scale(state), current.encoder.model.spec.image_size
        most = budget(encoder.scene, size, scale, state, 1 + sum(COSTS[name] for name in strategy.needs))
        windows = candidates(encoder.scene, size, scale, state, most)
        names = [c.name for c in mapped_classes(current, state)] if state.objects or current.trained else []
        looker = Looker.of(current, state, names)
        others = {
            name: Looker.of(earlier[name](), state, names)
            for name in (BEFORE, BASE)
            if name in strategy.needs and names
        }
        seen = []
        for done, window in enumerate(windows, start=1):
            seen.append(self._at(window, looker, others, strategy.needs if names else frozenset()))
            reporter.update(done, len(windows), message="looking around")
        more = {name: [one[name] for one in seen] for name in (*others, *({FLIPS, IOUS} & strategy.needs)) if names}
        probabilities = [one["classes"] for one in seen] if names else []
        if REFERENCE in strategy.needs and reference is not None and names:
            shapes = [p.shape[1:] for p in probabilities]
            more[REFERENCE] = reference_maps(windows, shapes, reference, ["background", *names])
        return Survey(
            windows,
            ("background", *names),
            probabilities,
            np.stack([one["look"] for one in seen]) if seen else np.zeros((0, 1), np.float32),
            self._labelled_looks(looker, state),
            _last_place(state),
            more,
        )

    # -- single windows

    def _at(
        self, window: Window, looker: Looker, others: Mapping[str, Looker], needs: Collection[str]
    ) -> dict[str, np.ndarray]:
        found = dict(self._known(window, looker, "plain", lambda: _plain(window, looker)))
        for name, other in others.items():
            found[name] = self._known(window, other, "plain", lambda other=other: _plain(window, other))["classes"]
        if FLIPS in needs:
            found |= self._known(window, looker, FLIPS, lambda: {FLIPS: _flips(window, looker, found["classes"])})
        if IOUS in needs:
            found |= self._known(window, looker, IOUS, lambda: {IOUS: _ious(window, looker, found["classes"])})
        return found

    def _labelled_looks(self, looker: Looker, state: State) -> np.ndarray | None:
        windows = list(dict.fromkeys(o.window for o in reversed(state.objects)))[:LABELLED]
        looks = [
            self._known(w, looker, "look", lambda w=w: {"look": _look(_embedding(looker, w))})["look"] for w in windows
        ]
        return np.array(looks) if looks else None

    def _known(
        self, window: Window, looker: Looker, kind: str, look: Callable[[], dict[str, np.ndarray]]
    ) -> dict[str, np.ndarray]:
        """What was seen of a window, or is seen now."""
        pixels = looker.encoder.scene.state()
        key = f"{kind} {looker.encoder.embedding_key(window)} {looker.identity} {pixels}"
        found = self._seen.get(key) if pixels is not None else None
        if found is None:
            found = look()
            self.looked += 1
            if pixels is not None:
                self._seen.put(key, found)
        return found


def reference_maps(
    windows: Sequence[Window], shapes: Sequence[tuple[int, ...]], outlines: Outlines, names: Sequence[str]
) -> list[np.ndarray]:
    """A weak reference as class maps.

    Args:
        windows: where.
        shapes: (h, w) of each map.
        outlines: of the reference; later ones lie over earlier ones.
        names: of the classes, background first.

    Returns:
        Per window (h, w) int: index of a class at each cell's middle, 0 outside all outlines, -1 in a class that the
        map does not have.
    """
    tree = STRtree([outline for _, outline in outlines])
    found = []
    for window, (rows, cols) in zip(windows, shapes, strict=True):
        cells = np.zeros((rows, cols), dtype=int)
        at_rows = ((np.arange(rows) + 0.5) * window.height / rows).astype(int)
        at_cols = ((np.arange(cols) + 0.5) * window.width / cols).astype(int)
        for i in sorted(tree.query(window.polygon, predicate="intersects")):
            name, outline = outlines[i]
            inside = rasterize(outline, window)[np.ix_(at_rows, at_cols)]
            cells[inside] = names.index(name) if name in names else -1
        found.append(cells)
    return found


def _plain(window: Window, looker: Looker) -> dict[str, np.ndarray]:
    embedding = _embedding(looker, window)
    if not looker.known:
        return {"look": _look(embedding)}
    shape = (len(looker.known), *(4 * side for side in embedding.shape[-2:]))
    logits = np.full(shape, -np.inf, dtype=np.float32)
    if looker.prompts is not None:
        logits[list(looker.known)] = decoded_classes(looker.encoder, embedding, looker.prompts)
    return {"classes": coarse_probabilities(logits), "look": _look(embedding)}


def _flips(window: Window, looker: Looker, plain: np.ndarray) -> np.ndarray:
    assert looker.prompts is not None  # there are classes, and the model in use knows them all
    mirrored = mirrored_logits(looker.encoder, window, looker.prompts)
    return np.stack([plain, *(coarse_probabilities(np.ascontiguousarray(one)) for one in mirrored)])


def _ious(window: Window, looker: Looker, classes: np.ndarray) -> np.ndarray:
    """(C,): what SAM expects of the best of its three masks for a click on each class's peak, NaN without one."""
    model, found = looker.encoder.model, peaks(classes)
    ious = np.full(len(classes) - 1, np.nan, dtype=np.float32)
    if found:
        side = model.spec.image_size
        coords = torch.tensor([[[p.x * side, p.y * side]] for p in found], device=model.device)
        labels = torch.full(coords.shape[:2], POSITIVE, device=model.device)
        with torch.inference_mode(), compute(model.device):
            _, expected = model.decode(_embedding(looker, window), coords, labels)
        ious[[p.index for p in found]] = expected.float().max(1).values.clamp(0, 1).cpu().numpy()
    return ious


def coarse_probabilities(logits: np.ndarray) -> np.ndarray:
    """Probabilities of background and classes at the decoder's resolution, averaged to at most CELLS cells a side.

    Args:
        logits: (C, m, m) float32, against a background whose logit is 0; -inf where a class has no chance.

    Returns:
        (C + 1, h, w) float32, background first.
    """
    scores = torch.from_numpy(logits)
    chances = torch.cat([torch.zeros_like(scores[:1]), scores]).softmax(0)
    factor = -(-chances.shape[-1] // CELLS)
    return torch.nn.functional.avg_pool2d(chances[None], factor, ceil_mode=True)[0].numpy()


def _embedding(looker: Looker, window: Window) -> torch.Tensor:
    """A window's embedding; its prefix is kept, so that it costs less after the next round."""
    looker.encoder.store_prefix(window)
    return looker.encoder.embedding(window, keep=False)


def _look(embedding: torch.Tensor) -> np.ndarray:
    return embedding[0].mean((1, 2)).float().cpu().numpy()


def _last_place(state: State) -> tuple[float, float] | None:
    """(col, row) of the object that was accepted last."""
    if not state.objects:
        return None
    middle = state.objects[-1].geometry.centroid
    return middle.x, middle.y


_ROUNDS = "strategy {name!r} compares the round in use with %s; train a round first, or choose another"
_LACKING = {
    BEFORE: _ROUNDS % "the one before it",
    BASE: _ROUNDS % "the model before any",
    REFERENCE: "strategy {name!r} compares the map with a weak reference; pass reference=, polygons with classes",
}
"""What to say where a pass cannot be made."""
