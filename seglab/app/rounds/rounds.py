"""Rounds: trained versions of a project's model, from labels to a saved round and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from seglab.app.history.state import State
from seglab.app.project.scene_cards import model_bands
from seglab.core.band_labels import labels_from_json, match_bands
from seglab.core.masks import rasterize
from seglab.encoding.encoder import WindowEncoder
from seglab.encoding.encoders import Encoders
from seglab.errors import BandError, RoundMismatchError
from seglab.models.restore import restore_model
from seglab.models.sam import AdaptedSam
from seglab.models.student.restore import KIND
from seglab.training.job import RoundOutcome

EXEMPLARS = 8
"""A new class's prompt is the mean embedding of its first objects, this many at most."""


@dataclass(frozen=True)
class Round:
    """A trained version of the model."""

    number: int
    parent: int
    """The round it started from; 0 for the model before any."""
    card: dict[str, Any]
    """What it was trained on and how it did: the card.json in its folder."""

    @property
    def worse(self) -> bool:
        """Whether it did worse on held-out ground than the round it started from: then it is not put in use."""
        return (self.card.get("validation") or {}).get("verdict") == "worse"

    @property
    def is_student(self) -> bool:
        """Whether it is a student: it maps, and answers no clicks."""
        return self.card.get("kind") == KIND

    @property
    def verdict(self) -> str:
        """How it did on held-out ground beside its parent, in words."""
        return str(self.card.get("verdict", "not validated"))


@dataclass(frozen=True)
class CurrentModel:
    """The model in use."""

    number: int
    """Its round; 0 before any."""
    encoders: Encoders
    """Of every date."""
    trained: dict[str, torch.Tensor]
    """(prompt_dim,) class prompt by class name, for the classes the round knows."""
    preview: bool = False
    """Whether this is a first impression of the round that is being trained."""
    date: str | None = None
    """Of the scene that it looks at; None: the one that is in use when it is asked."""

    @property
    def encoder(self) -> WindowEncoder:
        """Of the scene that it looks at."""
        return self.encoders.now() if self.date is None else self.encoders.of(self.date)

    def on(self, date: str) -> CurrentModel:
        """The same model, which stays with the scene of a date: for an object made there, and for a job."""
        return replace(self, date=self.encoders.known(date))

    def class_prompts(self, state: State) -> dict[str, torch.Tensor]:
        """A prompt for every class that has one: trained, else the mean embedding of the class's first objects.

        Args:
            state: the project, with all accepted objects and what classes are called now.
        """
        # A class's own prompt comes before that of a class that went into it.
        by_kin = sorted(self.trained, key=lambda name: name not in state.merged)
        known = {name: state.today(name) or name for name in by_kin}
        prompts = {now: self.trained[name] for name, now in known.items()}
        model, objects = self.encoder.model, [o for o in state.objects if not o.unsure]
        for name in sorted({o.class_name for o in objects} - set(prompts)):
            means = []
            for obj in [o for o in objects if o.class_name == name][:EXEMPLARS]:
                mask = torch.from_numpy(rasterize(obj.geometry, obj.window))
                with torch.inference_mode():
                    means.append(model.exemplar(self.on(obj.date).encoder.embedding(obj.window)[0], mask))
            prompts[name] = torch.stack(means).mean(0)
        return prompts


def identity_of(model: AdaptedSam, adapter: str, bands: Sequence[int], extra_bands: Sequence[int]) -> dict[str, Any]:
    """The part of a card that says which model a round belongs to; all of it must match to use the round.

    Args:
        model: the model before any round.
        adapter: the family that its rounds train.
        bands: the three bands that the model sees.
        extra_bands: those that enter by the side branch.
    """
    return {
        "model": model.spec.name,
        "weights": model.base_hash(),
        "adapter": adapter,
        "adapt_from": model.adapt_from,
        "bands": list(bands),
        "extra_bands": list(extra_bands),
    }


def in_bands_of(card: Mapping[str, Any], manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The card of a round from elsewhere, with the bands that it sees as this project's scene has them.

    Args:
        card: of the round.
        manifest: the project's.

    Raises:
        RoundMismatchError: it sees other bands.
    """
    if not ("band_labels" in card and "band_labels" in manifest):
        return dict(card)  # by their places: see `restore`
    own, wanted = model_bands(manifest), labels_from_json(card["band_labels"], ())
    try:
        found = list(match_bands(wanted, own))
    except BandError as error:
        raise RoundMismatchError(
            f"the round sees bands {', '.join(map(str, wanted))} and this project {', '.join(map(str, own))}; open a "
            "project whose model sees the same bands"
        ) from error
    count = len(card["bands"])
    kept = {"band_labels": manifest["band_labels"][: len(found)]}
    return {**card, **kept, "bands": found[:count], "extra_bands": found[count:]}


def outcome_card(outcome: RoundOutcome, classes: Sequence[str]) -> dict[str, Any]:
    """The part of a card that training knows."""
    return {
        "classes": list(classes),
        "config": outcome.config,
        "losses": [round(v, 4) for v in outcome.losses],
        "fit_iou": outcome.fit_iou,
        "validated": outcome.validation is not None,
        "validation": None if outcome.validation is None else outcome.validation.to_json(),
        "seconds": round(outcome.seconds, 2),
        "peak_mb": round(outcome.peak_mb),
        "notes": list(outcome.notes),
    }


def restore(
    base: AdaptedSam, tensors: Mapping[str, np.ndarray], card: Mapping[str, Any], identity: Mapping[str, Any]
) -> AdaptedSam:
    """The model of a saved round.

    Args:
        base: the model before any round.
        tensors, card: as saved.
        identity: of the project: see `identity_of`.

    Raises:
        RoundMismatchError: the round was trained for other weights, bands or places, or its tensors do not fit.
    """
    name = f"round {card.get('round', '')}".strip()
    if card.get("kind") == KIND:
        raise RoundMismatchError(
            f"{name} is a student: it maps scenes (session.predict(model='student')) and answers no clicks"
        )
    if "weights" not in card:  # made before rounds named their base weights: there was one family of adapters
        card = {**identity, **card, "adapter": str(card.get("adapter")).replace("-", "_")}
    for key, value in identity.items():
        if card.get(key) != value:
            raise RoundMismatchError(
                f"{name} was trained for {key}={card.get(key)!r} and this session uses {value!r}; open a project with "
                "the settings the round was trained for, or use another round"
            )
    return restore_model(base, str(card["adapter"]), tensors, name)


def trained_prompts(model: AdaptedSam, card: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """The class prompts of a round by class name."""
    return dict(zip(card["classes"], model.class_prompts.detach(), strict=True))


_COMPARED = (
    ("parent", "parent"),
    ("objects", "objects"),
    ("objects_held_out", "held-out objects"),
    ("adapter", "adapter"),
    ("adapt_from", "from block"),
    ("fit_iou", "IoU on its own objects"),
    ("seconds", "seconds"),
)
"""Rows of a comparison that every card has: key and title."""


def comparison(first: Mapping[str, Any], second: Mapping[str, Any]) -> str:
    """Two cards side by side, as a Markdown table."""
    rows = [(title, first.get(key), second.get(key)) for key, title in _COMPARED]
    figures = [(card.get("validation") or {}).get("round", {}) for card in (first, second)]
    for key in sorted({key for found in figures for key in found}):
        rows.append((key.replace("_", " "), *(found.get(key) for found in figures)))
    head = f"| | round {first['round']} | round {second['round']} |\n|---|---:|---:|"
    return "\n".join([head, *(f"| {title} | {_cell(a)} | {_cell(b)} |" for title, a, b in rows)])


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, (list, tuple)) and len(value) == 3:  # a mean and its interval
        return "{:.2f} ({:.2f} to {:.2f})".format(*value)
    return str(value)
