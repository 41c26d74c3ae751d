"""What a session does with the model's rounds: train, choose, compare, hand on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from seglab import jobs
from seglab.app.history.ledger import Ledger
from seglab.app.history.state import State
from seglab.app.rounds.distilling import SURE, StudentWishes
from seglab.app.rounds.learner import Learner
from seglab.app.rounds.rounds import Round, comparison, in_bands_of
from seglab.app.rounds.trainer import Trainer
from seglab.errors import UnknownRoundError
from seglab.store.project import Project
from seglab.store.round_files import read_round_file, write_round_file
from seglab.training.transfer import TransferConfig


class RoundKeeping:
    """The part of a LabelSession that trains rounds and chooses between them."""

    _ledger: Ledger
    _learner: Learner
    _trainer: Trainer
    project: Project
    state: State
    classes: Mapping[str, str]

    @property
    def rounds(self) -> list[Round]:
        """All rounds of the project."""
        return [Round(card["round"], card["parent"], card) for card in self.project.rounds()]

    @property
    def round(self) -> int:
        """The round in use; 0 is the model before any."""
        return self._learner.current.number

    @property
    def previewing(self) -> bool:
        """Whether a first impression of the round that is being trained is in use."""
        return self._learner.current.preview

    def retrain(self, steps: int | None = None) -> jobs.Job[Round]:
        """Train the adapter, the mask decoder and the class prompts on what is accepted in all scenes, in the
        background.

        Labels may be added meanwhile; they count from the next round on. A quick preview is in use after some seconds,
        the round as soon as it is finished and saved; a round that does worse on held-out ground than the one before
        it is kept but not used, and its `verdict` says why.

        Args:
            steps: optimiser steps; the default recipe's if None.

        Raises:
            NoLabelsError: nothing is accepted yet.
            JobRunningError: a round is being trained.
        """
        with self._ledger.acting():
            return self._trainer.retrain(steps)

    def distill(
        self,
        student: str = "small",
        *,
        epochs: int | None = None,
        encoder_weights: str | Path | None = None,
        transfer_weight: float = 1.0,
        sure: float | None = SURE,
    ) -> jobs.Job[Round]:
        """Make a student of the model in use, in the background: a small network that maps scenes many times faster,
        and answers no clicks (KTDA, arXiv 2412.06664).

        It learns from what is accepted in all scenes, and from the features of the model in use, also on windows that
        nobody has labelled; held-out ground is for judging alone. It is kept as a round: `predict(model="student")`
        maps with it, `export_round` hands it on.

        Args:
            student: "small", "smallest" or "medium", or as published "ktda" or "ktda_mlp".
            epochs: times that it sees every window; chosen if None: about twelve minutes on one core.
            encoder_weights: a file with weights of its ConvNeXt to start from; random ones if None.
            transfer_weight: of the model's features against the labels; 0 learns from the labels alone.
            sure: probability from which the class that the model in use sees counts as a label where nobody has
                labelled; None: never.

        Raises:
            NoLabelsError: nothing is accepted yet.
            JobRunningError: a round or a student is being trained.
            ModelNotFoundError: no such student.
        """
        wishes = StudentWishes(
            student=student,
            epochs=epochs,
            encoder_weights=None if encoder_weights is None else Path(encoder_weights),
            transfer=TransferConfig(weight=transfer_weight),
            sure=sure,
        )
        with self._ledger.acting():
            return self._trainer.distill(wishes)

    def rollback(self, number: int) -> None:
        """Go back to an earlier round (0: the model before any); undo brings the later one back.

        Raises:
            UnknownRoundError: the project has no such round.
            RoundMismatchError: the round does not fit the model in use.
        """
        with self._ledger.acting():
            known = [0, *(r.number for r in self.rounds)]
            if number not in known:
                raise UnknownRoundError(f"there is no round {number!r}; this project has {known}")
            model = self._learner.load(number)
            self._ledger.record("rollback", {"number": number}, "round", lambda: self._learner.take(model))

    def compare(self, first: int, second: int) -> str:
        """Two rounds side by side as a table in Markdown: what they were trained on, and how they were judged.

        The figures are those that each round was judged by when it was made: later rounds have more held-out objects.

        Raises:
            UnknownRoundError: the project has no such round.
        """
        cards = {r.number: r.card for r in self.rounds}
        for number in (first, second):
            if number not in cards:
                raise UnknownRoundError(f"there is no round {number!r}; this project has {sorted(cards)}")
        return comparison(cards[first], cards[second])

    def export_round(self, number: int, path: str | Path) -> Path:
        """Write a round to one .safetensors file, to use it in another project or to share it.

        Raises:
            UnknownRoundError, ProjectDamagedError: the round is not there, or its files are damaged.
            RoundFileError: the name does not end in .safetensors.
            WriteError: the file could not be written.
        """
        target = self._new_file(path)
        write_round_file(target, *self.project.load_round(number))
        return target

    def import_round(self, path: str | Path) -> Round:
        """Add a round from a file that `export_round` wrote, and use it; undo goes back to the round before.

        Raises:
            RoundFileError: the file is missing, damaged or no round.
            RoundMismatchError: the round was trained for other base weights, bands or adapter places.
        """
        tensors, card = read_round_file(Path(path))
        card = in_bands_of(card, self.project.manifest)
        with self._ledger.acting():
            self._learner.check(tensors, card)
            for name in card["classes"]:
                if self.state.today(name) is None:
                    self.add_class(name)
            return self._learner.adopt(tensors, card, Path(path).name)
