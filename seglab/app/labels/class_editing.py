"""What a session does with classes: add, rename, recolour, merge."""

from __future__ import annotations

from collections.abc import Mapping

from seglab.app.history.ledger import Ledger
from seglab.core.palette import next_colour
from seglab.errors import UnknownClassError
from seglab.store.colours import parse_colour


class ClassEditing:
    """The part of a LabelSession that edits classes; every edit can be undone."""

    _ledger: Ledger

    @property
    def classes(self) -> Mapping[str, str]:
        """Colour '#rrggbb' by class name, in order."""
        return self._ledger.state.classes

    def add_class(self, name: str, colour: str | None = None, *, initial: bool = False) -> None:
        """Add a class, with a colour that colour-blind people can tell from the others unless one is given.

        Args:
            name: not yet taken.
            colour: '#rrggbb'.
            initial: the project starts with it, so that undo does not take it back.

        Raises:
            UnknownClassError: the name is empty or taken.
            WriteError: the colour is not written '#rrggbb'.
        """
        with self._ledger.acting():
            name = self._free(name)
            if colour is not None:
                parse_colour(colour)
            data = {"name": name, "colour": colour or next_colour(self.classes), "initial": initial}
            self._ledger.record("class", data, "classes")

    def rename_class(self, old: str, new: str) -> None:
        """Call a class something else; its objects, its colour and what rounds know of it stay.

        Raises:
            UnknownClassError: there is no class of the old name, or the new one is empty or taken.
        """
        with self._ledger.acting():
            self._known(old)
            if new.strip() != old:
                self._ledger.record("rename_class", {"old": old, "new": self._free(new, old)}, "classes")

    def recolour_class(self, name: str, colour: str) -> None:
        """Give a class another colour.

        Raises:
            UnknownClassError: there is no such class.
            WriteError: the colour is not written '#rrggbb'.
        """
        with self._ledger.acting():
            self._known(name)
            parse_colour(colour)
            if colour != self.classes[name]:
                self._ledger.record("recolour_class", {"name": name, "colour": colour}, "classes")

    def merge_classes(self, source: str, target: str) -> None:
        """Give all objects of one class to another; the first class is gone.

        Raises:
            UnknownClassError: one of them is no class, or they are the same.
        """
        with self._ledger.acting():
            self._known(source)
            self._known(target)
            if source == target:
                raise UnknownClassError(f"class {source!r} cannot be merged into itself; choose another class")
            self._ledger.record("merge_classes", {"source": source, "target": target}, "classes")

    def _known(self, class_name: str) -> None:
        if class_name not in self.classes:
            raise UnknownClassError(
                f"there is no class {class_name!r}; the classes are {list(self.classes)}, add_class adds one"
            )

    def _free(self, name: str, own: str | None = None) -> str:
        """A name, trimmed, that no class has and that no round knows another class by."""
        name = name.strip()
        if not name or name in self.classes:
            raise UnknownClassError(f"class {name!r} is empty or already there; give the class a new name")
        known = self._ledger.state.today(name)
        if known is not None and (known != own or name in self._ledger.state.merged):
            raise UnknownClassError(f"rounds know class {known!r} by the name {name!r}; give the class another name")
        return name
