"""What takes its time: rounds and maps; and the export."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seglab import jobs
from seglab.app.session import LabelSession
from seglab.ui.keys import keys_of

if TYPE_CHECKING:
    from seglab.ui.labeler import Labeler


class LongWork:
    """Handlers of the model's panels.

    Args:
        app: the labeler.
    """

    def __init__(self, app: Labeler) -> None:
        self._app = app
        self.running: set[str] = set()
        """Kinds of jobs that run: "retrain", "distill", "predict", "suggest", "find", "propose", "import", "check",
        "export", "compare", "merge", "clusters", "second look"."""
        self._begun: list[tuple[LabelSession, jobs.Job[Any]]] = []
        self._left: list[LabelSession] = []

    def leave(self, session: LabelSession) -> None:
        """Close a session that is shown no more, as soon as what was begun in it has ended."""
        self._left.append(session)
        self._close_left()

    @property
    def idle(self) -> bool:
        """Whether nothing runs, and what ran shows as ended everywhere."""
        return not self._begun

    def _close_left(self) -> None:
        busy = [session for session, _ in self._begun]
        idle = [session for session in self._left if session not in busy]
        self._left = [session for session in self._left if session in busy]
        for session in idle:
            session.leave()

    def follow(self, kind: str, job: jobs.Job[Any], on_done: Callable[[Any], None]) -> None:
        """Show a job; its button rests until it has ended."""
        app = self._app

        def refresh() -> None:
            app.refresh_model()
            app.refresh_prediction_state()
            app.suggesting.refresh()
            app.clusters.refresh()
            app.second_look.refresh()

        def end() -> None:
            self.running.discard(kind)
            try:
                refresh()
            finally:
                self._begun.remove(begun)
                self._close_left()

        begun = (app.session, job)
        self.running.add(kind)
        self._begun.append(begun)
        refresh()
        app.jobs.follow(job, on_done, end)

    # -- rounds

    def retrain(self) -> None:
        """Start a round."""
        app = self._app
        with app.messages:
            self.follow("retrain", app.session.retrain(), self._trained)
            app.messages.show("Training on what you have accepted; you can go on labelling meanwhile.")

    def _trained(self, round_: Any) -> None:
        app = self._app
        seconds = round_.card.get("seconds", 0)
        number, verdict = round_.number, round_.verdict
        notes = "".join(f" {note}." for note in round_.card.get("notes", ()))
        if app.session.round == number:
            app.messages.show(f"Round {number} is in use, trained in {seconds:.0f} s; {verdict}.{notes}", "done")
        else:
            why = verdict if round_.worse else "another model was chosen while it trained"
            use = "Choose it under Model to use it all the same."
            app.messages.show(f"Round {number} is kept but not in use: {why}. {use}{notes}", "warning")

    def distill(self) -> None:
        """Start a student."""
        app = self._app
        with app.messages:
            self.follow("distill", app.session.distill(), self._distilled)
            app.messages.show("Teaching a student what the model in use knows; you can go on labelling meanwhile.")

    def _distilled(self, student: Any) -> None:
        self._app.messages.show(
            f"Student {student.number} is ready: {student.verdict}. Map the scene with it under Class map.", "done"
        )

    def rollback(self, number: int) -> None:
        """Use another round."""
        app = self._app
        with app.messages:
            app.session.rollback(number)
            name = f"Round {number}" if number else "The model as delivered"
            app.messages.show(f"{name} is in use. Undo brings the other one back.", "done")

    # -- maps and files

    def predict(self, student: int | None = None) -> None:
        """Map the scene, with the model in use or with a student."""
        app = self._app
        with app.messages:
            self.follow("predict", app.session.predict(model=student), self._mapped)
            app.messages.show("Mapping the scene; you can go on labelling meanwhile.")

    def _mapped(self, prediction: Any) -> None:
        self._app.messages.show(
            f"The class map is in {_near(prediction.path)!r}, its confidence beside it. "
            f"{keys_of('review')} reviews its regions.",
            "done",
        )

    def find_objects(self, class_name: str | None) -> None:
        """Look for objects one by one, of a class or of all, and review them."""
        app, session = self._app, self._app.session
        with app.messages:
            job = session.find_objects(None if class_name is None else [class_name])
            self.follow("find", job, lambda found: self._found(found) if session is self._app.session else None)
            app.messages.show("Looking for objects; you can go on labelling meanwhile.")

    def _found(self, found: Any) -> None:
        self._app.review.begin()
        what = "One object was" if len(found) == 1 else f"{len(found)} objects were"
        keys = f"{keys_of('accept')} confirms, {keys_of('reject')} dismisses, {keys_of('candidate')} skips."
        self._app.messages.show(f"{what} found: {keys}", "done")

    def export(self, kind: str, name: str) -> None:
        """Write labels, the class map or chips to a file or folder.

        Args:
            kind: a key of `panels.EXPORTS`.
            name: of the file.
        """
        app, session = self._app, self._app.session
        with app.messages:
            if kind == "labels":
                path = session.export(name)
                count = len(session.objects)
                app.messages.show(f"Exported {count} object{'' if count == 1 else 's'} to {_near(path)!r}.", "done")
                return
            job = session.export_map(name) if kind == "map" else session.export_chips(name)
            what = "The class map's regions are" if kind == "map" else "Chips, masks and COCO JSON are"
            self.follow("export", job, lambda path: app.messages.show(f"{what} in {_near(path)!r}.", "done"))


def _near(path: Path) -> str:
    """A path as short as it can be from where the notebook is."""
    path = path.absolute()
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
