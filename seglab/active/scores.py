"""What each measure says of every window of a survey, with the reason in words."""

from __future__ import annotations

import numpy as np

from seglab.active.class_balance import class_shares, rarest, rarity
from seglab.active.disagreement import change, jensen_shannon, mutual_information
from seglab.active.expected_iou import expected_error
from seglab.active.survey import BASE, BEFORE, FLIPS, IOUS, REFERENCE, Scored, Survey
from seglab.active.uncertainty import contest, margin_map, mean_entropy
from seglab.active.weak_reference import confident_errors


def by_entropy(survey: Survey) -> list[Scored]:
    """Mean entropy: see uncertainty.mean_entropy."""
    found = []
    for p in survey.probabilities:
        score, pair = mean_entropy(p), contest(p, survey.names)
        figures = pair.figures | {"entropy": score}
        found.append(Scored(score, f"{pair.words}; uncertainty {score:.0%}", figures))
    return found


def by_margin(survey: Survey) -> list[Scored]:
    """1 less the mean margin: see uncertainty.margin_map."""
    found = []
    for p in survey.probabilities:
        score, pair = 1 - float(margin_map(p).mean()), contest(p, survey.names)
        figures = pair.figures | {"margin": 1 - score}
        found.append(Scored(score, f"{pair.words}; mean margin {1 - score:.2f}", figures))
    return found


def by_change_of_round(survey: Survey) -> list[Scored]:
    """Disagreement of the round in use with the one before: see disagreement.jensen_shannon."""
    return _against(survey, BEFORE, "the round before")


def by_change_of_base(survey: Survey) -> list[Scored]:
    """Disagreement of the round in use with the model before any: see disagreement.jensen_shannon."""
    return _against(survey, BASE, "the model before any round")


def by_flips(survey: Survey) -> list[Scored]:
    """What mirrored views disagree about: see disagreement.mutual_information."""
    found = []
    for samples in survey.more[FLIPS]:
        score = mutual_information(samples)
        votes = samples.argmax(1)
        split = float((votes != votes[0]).any(0).mean())
        words = f"mirrored, it is mapped differently on {split:.0%} of it; disagreement {score:.1%}"
        found.append(Scored(score, words, {"split": split, "information": score}))
    return found


def by_expected_iou(survey: Survey) -> list[Scored]:
    """1 less the IoU that SAM expects at the map's peaks: see expected_iou.expected_error."""
    found = []
    for ious in survey.more[IOUS]:
        score = expected_error(ious)
        if np.isnan(ious).all():
            found.append(Scored(0.0, "only background is predicted here", {}))
            continue
        worst = int(np.nanargmin(ious))
        name, iou = survey.names[worst + 1], float(ious[worst])
        words = f"a mask of {name} is expected to have an IoU of {iou:.2f} here; over all classes {1 - score:.2f}"
        found.append(Scored(score, words, {"class": name, "iou": iou, "expected_iou": 1 - score}))
    return found


def by_rarity(survey: Survey) -> list[Scored]:
    """How rare the predicted classes are in all windows: see class_balance.rarity."""
    shares = np.array([class_shares(p) for p in survey.probabilities]).reshape(-1, len(survey.names))
    overall = shares.mean(0) if len(shares) else np.ones(len(survey.names))
    found = []
    for here in shares:
        which = rarest(here, overall, survey.names)
        share, everywhere = float(here[which]), float(overall[which])
        words = f"{survey.names[which]} on {share:.0%} of it and on {everywhere:.1%} of what was looked at"
        figures = {"class": survey.names[which], "share": share, "overall": everywhere}
        found.append(Scored(rarity(here, overall), words, figures))
    return found


def by_reference(survey: Survey) -> list[Scored]:
    """Confident errors against a weak reference: see weak_reference.confident_errors."""
    found = []
    for p, reference in zip(survey.probabilities, survey.more[REFERENCE], strict=True):
        wrong = confident_errors(p, reference, survey.names)
        words = f"the map is sure of {wrong.says} where the reference has {wrong.reference}, {wrong.share:.0%} of it"
        if wrong.share == 0:
            words = "the map contradicts the reference nowhere for sure"
        figures = {"says": wrong.says, "reference": wrong.reference, "share": wrong.share}
        found.append(Scored(wrong.share, words, figures))
    return found


def _against(survey: Survey, other: str, name: str) -> list[Scored]:
    found = []
    for p, q in zip(survey.probabilities, survey.more[other], strict=True):
        score, changed = jensen_shannon(q, p), change(q, p, survey.names)
        words = f"{name} mapped {changed.share:.0%} of it as something else"
        if changed.share > 0:
            words += f", most often {changed.before} where there is {changed.after} now"
        words += f"; disagreement {score:.1%}"
        figures = {"before": changed.before, "after": changed.after, "share": changed.share, "divergence": score}
        found.append(Scored(score, words, figures))
    return found
