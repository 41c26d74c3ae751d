"""What a person does with the classes and with accepted objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from shapely.geometry import LineString

from seglab.app.labels.labelled import LabelledObject
from seglab.app.labels.proposed import ProposedObject
from seglab.ui.keys import keys_of
from seglab.ui.page import Stroke

if TYPE_CHECKING:
    from seglab.ui.labeler import Labeler


class ClassEditing:
    """Handlers of the class panel.

    Args:
        app: the labeler.
    """

    def __init__(self, app: Labeler) -> None:
        self._app = app

    def choose_class(self, name: str) -> None:
        """Its colour is the mask's from now on."""
        self._app.refresh_mask()
        self._app.project.keep_view()

    def add_class(self, name: str) -> None:
        """Add a class and take it in hand."""
        app = self._app
        with app.messages:
            app.session.add_class(name)
            app.classes.name.value = ""
            app.classes.choose(name.strip())
            app.messages.show(f"Added class {name.strip()!r}; click an object of it.", "done")

    def rename_class(self, old: str, new: str) -> None:
        """Rename a class; it stays in hand."""
        app = self._app
        with app.messages:
            app.session.rename_class(old, new)
            app.classes.choose(new)
            app.messages.show(f"Class {old!r} is called {new!r} now.", "done")

    def recolour_class(self, name: str, colour: str) -> None:
        """Give a class another colour."""
        app = self._app
        with app.messages:
            app.session.recolour_class(name, colour)
            app.refresh_mask()

    def merge_classes(self, source: str, target: str) -> None:
        """Give all objects of one class to another."""
        app = self._app
        with app.messages:
            count = sum(o.class_name == source for o in app.session.objects)
            app.session.merge_classes(source, target)
            app.classes.choose(target)
            objects = f"{count} object{'' if count == 1 else 's'}"
            app.messages.show(f"{source!r} is part of {target!r} now ({objects}); undo takes it back.", "done")

    def hide_classes(self, names: frozenset[str]) -> None:
        """Draw no objects of these classes."""
        self._app.refresh_objects()
        self._app.project.keep_view()


class ObjectEditing:
    """Handlers of the list of objects; they act on those that are selected there.

    Args:
        app: the labeler.
    """

    def __init__(self, app: Labeler) -> None:
        self._app = app

    def selection_changed(self) -> None:
        """Outline the selected objects on the map; in a review, the one picked last is the one looked at."""
        app = self._app
        chosen = app.objects.selected_objects()
        app.view.show_selected([o.geometry for o in chosen], proposed=app.review.is_on)
        if app.review.is_on and chosen:
            app.review.go(chosen[0].id)
        elif app.second_look.is_on and chosen:
            app.second_look.go(chosen[0].id)

    def filtered(self) -> None:
        """The list shows other objects; the proposed ones are reviewed, those in doubt looked at again."""
        self._app.review.filtered()
        self._app.second_look.filtered()

    def go_to(self, obj: LabelledObject | ProposedObject) -> None:
        """Show an object on the map."""
        if not self._app.review.is_on:
            self._app.view.fly_to(obj.geometry)

    def change_class(self, name: str) -> None:
        """Give the selected objects another class."""
        self._each(f"class {name!r}", class_name=name)

    def mark_unsure(self) -> None:
        """Mark the selected objects as unsure; as sure where all of them are unsure."""
        chosen = self._app.objects.selected_objects()
        unsure = self._app.review.is_on or not all(o.unsure for o in chosen)
        self._each("unsure" if unsure else "sure", unsure=unsure)

    def note(self, text: str) -> None:
        """Write a note on the selected object."""
        self._each("the note" if text else "no note", note=text)

    def _each(self, what: str, **change: object) -> None:
        app = self._app
        with app.messages:
            chosen = self._chosen()
            if not chosen:
                return
            app.session.edit(*(o.id for o in chosen), **change)
            count = "The object has" if len(chosen) == 1 else f"{len(chosen)} objects have"
            app.messages.show(f"{count} {what} now." if "unsure" not in change else f"Marked as {what}.", "done")

    def refine(self) -> None:
        """Take the selected object up again: its prompts and its mask are the current ones."""
        app = self._app
        with app.messages:
            obj = self._chosen_one()
            if obj is None:
                return
            app.session.refine(obj.id)
            app.classes.choose(obj.class_name)
            app.view.fly_to(obj.geometry)
            app.messages.show("Correct its outline, then accept; reject leaves it as it was.")

    def split(self) -> None:
        """Split the selected object into its separate parts; one that is in one piece is cut by a line."""
        app = self._app
        with app.messages:
            obj = self._chosen_one()
            if obj is None:
                return
            if len(getattr(obj.geometry, "geoms", [obj.geometry])) > 1:
                self._say_split(app.session.split(obj.id))
            else:
                app.toolbar.choose("cut")
                app.messages.show("It is in one piece: draw a line through it, from outside to outside.")

    def cut(self, stroke: Stroke) -> None:
        """Split the selected object along a line."""
        app = self._app
        with app.messages:
            obj = self._chosen_one()
            points = stroke.points(app.frame)
            if obj is not None and len(points) > 1:
                self._say_split(app.session.split(obj.id, LineString(points), crs=app.frame.crs))

    def _say_split(self, parts: Sequence[LabelledObject]) -> None:
        self._app.objects.select(tuple(o.id for o in parts[:1]))
        self._app.messages.show(f"Split into {len(parts)} objects; undo takes it back.", "done")

    def merge(self) -> None:
        """Join the selected objects; the class is that of the one picked first."""
        app = self._app
        with app.messages:
            chosen = self._chosen()
            if not chosen:
                return
            if len(chosen) < 2:
                app.messages.show("Select two or more objects to join: click them with Ctrl or Shift.", "warning")
                return
            joined = app.session.merge(*(o.id for o in chosen), class_name=chosen[-1].class_name)
            app.objects.select((joined.id,))
            app.messages.show(f"Joined {len(chosen)} objects; undo takes it back.", "done")

    def delete(self) -> None:
        """Delete the selected objects."""
        app = self._app
        with app.messages:
            chosen = self._chosen()
            if not chosen:
                return
            app.session.delete(*(o.id for o in chosen))
            what = "the object" if len(chosen) == 1 else f"{len(chosen)} objects"
            app.messages.show(f"Deleted {what}; undo takes it back.", "done")

    def find_alike(self) -> None:
        """Find more like the selected objects; where none is selected, more of the class in hand."""
        app = self._app
        with app.messages:
            chosen = [] if app.review.is_on else app.objects.selected_objects()
            names = {o.class_name for o in chosen} or {name for name in [app.classes.chosen] if name}
            if len(names) != 1:
                what = "Select objects of one class" if names else "Select an object, or take a class in hand"
                app.messages.show(f"{what}, then look for more like it.", "warning")
            elif "find" in app.work.running:
                app.messages.show("Objects are being looked for already; wait for them, or cancel that.", "warning")
            else:
                session = app.session
                job = session.propagate(*names, like=[o.id for o in chosen])
                app.messages.show("Looking for more like it; you can go on labelling meanwhile.")
                app.work.follow("find", job, lambda found: self._found_alike(found) if session is app.session else None)

    def _found_alike(self, found: Sequence[ProposedObject]) -> None:
        app = self._app
        count = f"{len(found)} object{'' if len(found) == 1 else 's'} like it"
        if app.session.mask is None and app.session.prompts.is_empty and not app.checking.is_on:
            app.review.begin()
            app.messages.show(
                f"Found {count}, the likeliest first: {keys_of('accept')} confirms, {keys_of('reject')} dismisses, "
                f"{keys_of('candidate')} skips."
            )
        else:
            app.messages.show(f"Found {count}; {keys_of('review')} reviews what is proposed.", "done")

    def _chosen(self) -> list[LabelledObject]:
        """The selected objects; where there are none, that is said."""
        if self._app.review.is_on:
            self._app.messages.show("That is done with accepted objects: confirm it first.", "warning")
            return []
        chosen = self._app.objects.selected_objects()
        if not chosen:
            self._app.messages.show(
                "Select an object first: in the list (tab Objects), or with Ctrl+click on the map.", "warning"
            )
        return chosen

    def _chosen_one(self) -> LabelledObject | None:
        chosen = self._chosen()
        if len(chosen) > 1:
            self._app.messages.show("That is done with one object at a time; select one.", "warning")
        return chosen[0] if len(chosen) == 1 else None
