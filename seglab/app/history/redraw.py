"""Accepted objects drawn again from their prompts: which calls lead to the geometry that was recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from seglab.app.labels.labelled import LabelledObject
from seglab.app.prompting.proposals import Draft
from seglab.app.rounds.rounds import CurrentModel
from seglab.core.masks import rasterize
from seglab.core.metrics import iou
from seglab.core.prompts import Box, Point, Prompts
from seglab.core.windows import Window
from seglab.errors import SegLabError
from seglab.jobs import Reporter, SilentReporter

Prompt = Point | Box
CANDIDATES = 3
"""Masks that the decoder offers for prompts."""
LoadRound = Callable[[int], CurrentModel]
"""The model of a round by its number; 0 is the model before any."""


@dataclass(frozen=True)
class Redrawn:
    """The calls that come closest to an accepted object's geometry."""

    scale: int
    """Scene pixels per model pixel that the first prompt asks for."""
    prompts: tuple[Prompt, ...]
    """One call each, in order."""
    choices: tuple[int, ...]
    """Which of its masks is taken after each of the calls, from 0 (the best)."""
    iou: float | None
    """IoU of the last mask with the recorded geometry; 1 is the same pixel for pixel. None: nobody has looked."""
    problem: str = ""
    """Why the object could not be drawn again."""

    @property
    def exact(self) -> bool:
        """Whether the calls give the recorded geometry."""
        return self.iou == 1


def assumed(prompts: Prompts, window: Window, candidate: int = 0) -> Redrawn:
    """The calls as they most likely were, for who has no model to ask.

    Args:
        prompts: recorded.
        window: in which the object was accepted.
        candidate: recorded, else the best one.
    """
    order = next(_orders(prompts))
    return Redrawn(window.scale, order, (*(0 for _ in order[1:]), candidate)[: len(order)], None)


def redraw(current: CurrentModel, accepted: LabelledObject) -> Redrawn:
    """Prompt a model again until an object's recorded geometry comes out, or every order has been tried.

    The log holds an object's clicks in order, its box and its last window, but not when the box was drawn, what scale
    was set, or which candidates were chosen: all places of the box and all scales are tried, each with the best mask
    after every prompt but one at most, and with any mask after the last.

    Args:
        current: the model of the round that drew it.
        accepted: as it was accepted: later objects have not yet taken ground from it.
    """
    wanted = rasterize(accepted.geometry, Window(*_extent(accepted.window)))
    best = assumed(accepted.prompts, accepted.window)
    for scale in _scales(accepted.window.scale):
        for order in _orders(accepted.prompts):
            for choices in _choices(len(order) - 1):
                draft = _drawn(current, order, choices, scale)
                if draft.mask is None or draft.mask.window != accepted.window:
                    break  # the window depends on the prompts alone
                for last, candidate in enumerate(draft.candidates):
                    found = iou(candidate.array, wanted)
                    if best.iou is None or found > best.iou:
                        best = Redrawn(scale, order, (*choices, last), found)
                if best.exact:
                    return best
    return best


def redraw_all(
    accepted: Sequence[LabelledObject], load: LoadRound, reporter: Reporter | None = None
) -> dict[int, Redrawn]:
    """Draw objects again, each by the model of its round.

    Args:
        accepted: as they were accepted.
        load: loads each round once, with the encoders of all dates.
        reporter: told how many objects are done.

    Returns:
        By the object's number. A round that does not load is the problem of its objects.
    """
    reporter = reporter or SilentReporter()
    found: dict[int, Redrawn] = {}
    for number in sorted({o.round for o in accepted}):
        objects = [o for o in accepted if o.round == number]
        try:
            model = load(number)
        except SegLabError as error:
            found |= {o.id: replace(assumed(o.prompts, o.window), problem=str(error)) for o in objects}
            continue
        for one in objects:
            reporter.check()
            found[one.id] = redraw(model.on(one.date), one)
            reporter.update(len(found), len(accepted), message=f"round {number}")
    return found


def _drawn(current: CurrentModel, order: Sequence[Prompt], choices: Sequence[int], scale: int) -> Draft:
    """The draft after prompts; `choices` are those after all but the last."""
    draft = Draft()
    for place, prompt in enumerate(order):
        so_far = draft.prompts
        both = so_far.with_box(prompt) if isinstance(prompt, Box) else so_far.with_point(prompt)
        draft.prompt(current, both, scale)
        if place < len(choices):
            draft.choose(choices[place])
    return draft


def _choices(count: int) -> Iterator[tuple[int, ...]]:
    """What a person may have chosen after each of `count` prompts: always the best mask, else another one once."""
    yield (0,) * count
    for place in range(count):
        for other in range(1, CANDIDATES):
            yield (*(0,) * place, other, *(0,) * (count - place - 1))


def _orders(prompts: Prompts) -> Iterator[tuple[Prompt, ...]]:
    """The clicks in order, and the box at every place among them: first, as a person would, then later."""
    if prompts.box is None:
        yield prompts.points
        return
    for place in range(len(prompts.points) + 1):
        yield (*prompts.points[:place], prompts.box, *prompts.points[place:])


def _scales(last: int) -> Iterator[int]:
    """Scales that may have been set when a window of this one was taken: prompts far apart make it coarser."""
    while last >= 1:
        yield last
        last //= 2


def _extent(window: Window) -> tuple[int, int, int, int]:
    """The window at full detail: its masks are in scene pixels."""
    return window.col, window.row, window.width, window.height
