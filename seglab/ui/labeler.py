"""The labeler: the widget app around one session."""

from __future__ import annotations

from collections import Counter
from typing import Any

import ipywidgets as widgets

from seglab.app.opening import open_session
from seglab.app.project.view import fit_scale
from seglab.app.session import LabelSession
from seglab.core.overlay import MapFrame, overlay_png
from seglab.ui.checking import Checking
from seglab.ui.class_panel import ClassPanel
from seglab.ui.clusters import Clusters
from seglab.ui.commands import commands
from seglab.ui.comparing import Comparing
from seglab.ui.connection import Connection
from seglab.ui.dating import Dating
from seglab.ui.editing import ClassEditing, ObjectEditing
from seglab.ui.find_panel import FindPanel
from seglab.ui.help_panel import HelpPanel
from seglab.ui.hover import HoverPreview
from seglab.ui.imagery import Imagery
from seglab.ui.job_bar import JobBar, MessageBar
from seglab.ui.labelling import Labelling
from seglab.ui.layering import Layering
from seglab.ui.layers_panel import LayersPanel
from seglab.ui.long_work import LongWork
from seglab.ui.look_editor import LookEditor
from seglab.ui.map_panes import Panes
from seglab.ui.map_view import MapView
from seglab.ui.objects_panel import ObjectsPanel
from seglab.ui.page import STATIC, Keyboard, Page, Strokes, close_trees
from seglab.ui.panels import ExportPanel, MapPanel, ModelPanel, SideTabs
from seglab.ui.project_work import TITLE as PROJECT
from seglab.ui.project_work import ProjectWork
from seglab.ui.review_panel import ReviewPanel
from seglab.ui.reviewing import Review
from seglab.ui.scenes import Scenes
from seglab.ui.second_look import SecondLook
from seglab.ui.selecting import Selecting
from seglab.ui.settling import Settling
from seglab.ui.sheet import Sheet
from seglab.ui.suggesting import Suggesting
from seglab.ui.toolbar import Toolbar, set_shown

WELCOME = "Choose a class, then click an object. ? shows the keys."
FIRST_COLOUR = "#0072b2"
"""Of a mask before there is a class, '#rrggbb'."""


class Labeler(widgets.VBox):
    """A map to click on, and everything a session can do with the clicks.

    Args:
        session: made by `seglab.open`; what is done in code shows here and the other way round. A person may go to
            another scene of its project, and with it to another session.
    """

    def __init__(self, session: LabelSession) -> None:
        self.messages = MessageBar()
        self.jobs = JobBar(self.messages)
        self.work = LongWork(self)
        self.styling = widgets.HTML(f"<style>{(STATIC / 'labeler.css').read_text(encoding='utf-8')}</style>")
        set_shown(self.styling, False)
        self.keyboard = Keyboard(self.command)
        self._make(session)
        super().__init__(self._arrange())  # with all that is in it: the page then shows it as a whole
        self.add_class("seglab-labeler")
        self._start()

    def show_scene(self, session: LabelSession) -> None:
        """Label another scene; the session before is closed as soon as its jobs have ended.

        Args:
            session: on another scene of the same project: see `LabelSession.open_scene`.
        """
        before, hand, former = self.session, self.scenes.in_hand(), self.children
        self._unsubscribe()
        self._serve_no_more()
        self._make(session)
        self.children = self._arrange()
        self._start()
        self.scenes.take_along(hand)
        close_trees(former, {*self.children, self.messages, self.jobs})
        self.work.leave(before)
        self.keyboard.focus_map()

    def _make(self, session: LabelSession) -> None:
        """Make all that shows a scene."""
        self.session = session
        self.frame = MapFrame.of(session.grid)
        self.labelling = Labelling(self)
        self.class_editing = ClassEditing(self)
        self.object_editing = ObjectEditing(self)
        self.review = Review(self)
        self.second_look = SecondLook(self)
        self.selecting = Selecting(self)
        self.hover = HoverPreview(self)
        self.imagery = Imagery(self)
        self.layering = Layering(self)
        self.dating = Dating(self)
        self.connection = Connection(self)
        self.scenes = Scenes(self)
        self.comparing = Comparing(self)
        self.settling = Settling(self)
        self.suggesting = Suggesting(self)
        self._make_map()
        self._make_panels()
        self._commands = commands(self)

    def _make_map(self) -> None:
        do = self.labelling
        self.view = MapView(self.frame, do.point, do.drag, self._view_changed, self._pointed)
        self.view.on_hover = self.hover.move
        self.panes = Panes(self.view.map.model_id)
        self.checking = Checking(self)
        self.page = Page()
        self.strokes = Strokes(self.view.map.model_id, do.stroke)
        self.help = HelpPanel()
        self.toolbar = Toolbar(
            on_tool=do.take_tool,
            on_accept=do.accept,
            on_reject=do.reject,
            on_undo=do.undo,
            on_redo=do.redo,
            on_next=do.next_candidate,
            on_home=self.view.fly_home,
            on_help=self.help.toggle,
            on_size=lambda size: setattr(self.strokes, "size", size),
            on_preview=self.hover.switch,
        )

    def _make_panels(self) -> None:
        work = self.work
        self.figures = widgets.HTML()
        self.figures.add_class("seglab-figures")
        self.classes = ClassPanel(self.class_editing)
        self.model = ModelPanel(on_retrain=work.retrain, on_rollback=work.rollback, on_distill=work.distill)
        self.maps = MapPanel(on_predict=work.predict)
        self.clusters = Clusters(self)
        self.finding = FindPanel(on_find=work.find_objects)
        name = self.session.scene_name
        self.export = ExportPanel("" if len(self.session.scenes) == 1 else name, work.export)
        self.review_panel = ReviewPanel(self.review)
        scene = self.session.scene
        pixel = scene.grid.pixel_size_m
        below = (self.review_panel, self.second_look.panel)
        self.objects = ObjectsPanel(self.object_editing, pixel, *below, self.session.imagery_of)
        mapping = (self.maps, self.finding, self.clusters.section, self.checking.section)
        teach = widgets.VBox([self.model, *mapping, self.suggesting.section, self.export])
        bands = dict(zip(scene.data_bands, scene.band_names, strict=True))
        look = LookEditor(self.session.looks, bands, self.layering.choose_look)
        self.layers = LayersPanel(self.layering, look, has_basemap=not self.frame.is_plain)
        self.project = ProjectWork(self)
        columns = {"Model": teach, "Objects": self.objects, "Layers": self.layers, PROJECT: self.project.panel}
        self.tabs = SideTabs(columns, self.project.open)

    def _arrange(self) -> list[widgets.Widget]:
        mapbox = widgets.Box([self.view.map])
        mapbox.add_class("seglab-mapbox")
        self.side = widgets.VBox([self.scenes.chooser, self.checking.panel, self.classes, self.tabs])
        self.side.add_class("seglab-side")
        body = widgets.HBox([mapbox, self.side, *self.sheets])
        body.add_class("seglab-body")
        status = widgets.HBox([self.messages, self.figures, self.connection.button])
        status.add_class("seglab-status")
        # The page keeps what comes first, whatever scene is shown: the keys go on working.
        unseen = [self.styling, self.keyboard, self.page, self.strokes, self.panes, self.connection.holder]
        return [*unseen, self.toolbar, body, self.settling.bar, self.suggesting.bar, self.dating.bar, self.jobs, status]

    @property
    def sheets(self) -> list[Sheet]:
        """What can lie over the map."""
        return [self.help, self.connection.panel, self.project.code, self.checking.sheet, self.comparing.sheet]

    def _start(self) -> None:
        self._unsubscribe = self.session.subscribe(self._changed)
        self.messages.show(WELCOME)
        self.layering.start()
        self._refresh_labels()
        self.refresh_model()
        self.refresh_prediction_state()
        self.refresh_mask()
        self.clusters.refresh()
        with self.messages:
            self.project.restore_view()
            self.project.refresh()
            self.scenes.refresh()
        problems = [problem for problem in (self.session.problem, self.session.view_problem) if problem]
        if problems:
            self.messages.show("; ".join(problems), "error")

    def command(self, name: str) -> None:
        """Do what a key does.

        Args:
            name: of one of `keys.COMMANDS`.
        """
        with self.messages:
            self._commands[name]()

    def close(self) -> None:
        """Take the widget away; the session stays open."""
        self._unsubscribe()
        self._serve_no_more()
        super().close()

    def _serve_no_more(self) -> None:
        """Give out no pictures of the scene any more."""
        self.imagery.close()
        self.connection.close()

    def _view_changed(self) -> None:
        if self.view.view is None:
            return
        with self.messages:
            self.session.scale = fit_scale(self.session, self.frame.view_pixels(self.view.view))
            self.session.look_at(*self.frame.rectangle(*self.view.view), crs=self.frame.crs)
            self.project.keep_view()

    def _pointed(self, x: float, y: float) -> None:
        self.session.point_at(x, y, crs=self.frame.crs)

    # -- what has changed in the session

    def _changed(self, session: LabelSession, what: str) -> None:
        """Follow the session; may run on a job's thread."""
        with self.messages:
            if what == "mask":
                self.refresh_mask()
            elif what in ("labels", "classes"):
                self._refresh_labels()
                self.refresh_model()
                self.refresh_prediction_state()
                self.layering.refresh_classes()
                self.clusters.refresh()
                self.project.refresh()
                self.scenes.refresh()
            elif what == "clusters":
                self.clusters.refresh()
            elif what == "check":
                self.checking.refresh()
                self._refresh_buttons()
            elif what == "suggestions":
                self.suggesting.refresh()
            elif what == "doubts":
                self.refresh_objects()
            elif what == "proposals":
                self.refresh_objects()
                self._refresh_buttons()
            elif what == "areas":
                self.view.show_areas(session.kept_out)
                self.suggesting.refresh()
                self.project.refresh()
                self._refresh_buttons()
            elif what == "round":
                self.refresh_model()
                self.refresh_prediction_state()
                self.layering.refresh_encoded()
                self.project.refresh_accounts()
                self.suggesting.follow_round()
            elif what in ("encoded", "scale"):
                self.layering.refresh_encoded()
            elif what == "date":
                self.dating.follow()
                self.layering.refresh_encoded()
            elif what == "scenes":
                self.scenes.refresh()
            elif what == "prediction":
                self.refresh_prediction_state()
                self.layering.refresh_maps()
            elif what == "view":
                self.messages.show(self.session.view_problem or "", "error")
            elif what == "closed":
                self._serve_no_more()

    def refresh_mask(self) -> None:
        """Show the mask, its prompts and its figures."""
        session = self.session
        proposal = session.mask
        overlay = None
        colour = self.strokes.colour = session.classes.get(self.classes.chosen or "", FIRST_COLOUR)
        if proposal is not None:
            overlay = overlay_png(proposal.array, proposal.window, session.grid, colour, plain=self.frame.is_plain)
            self.figures.value = self.labelling.figures()
        set_shown(self.figures, proposal is not None)
        self.view.show_mask(overlay)
        self.hover.clear()
        self.view.show_prompts(session.prompts)
        self.clusters.refresh_hand()
        self._refresh_buttons()

    def _refresh_buttons(self) -> None:
        session = self.session
        self.toolbar.show_state(session.mask is not None, len(session.candidates), session.can_undo, session.can_redo)

    def _refresh_labels(self) -> None:
        session = self.session
        self.classes.show(session.classes, Counter(o.class_name for o in session.objects))
        self.refresh_objects()
        self.view.show_areas(session.kept_out)
        self._refresh_export()
        self._refresh_buttons()
        self.suggesting.refresh()

    def refresh_objects(self) -> None:
        """Show the accepted objects, in the list and on the map."""
        objects, classes = self.session.objects, self.session.classes
        drawn = [o for o in objects if o.class_name not in self.classes.hidden]
        self.view.show_labels(drawn, classes)
        proposed, doubted = self.review.shown(), self.second_look.shown()
        self.objects.show(objects, list(classes), proposed, len(self.session.proposals), doubted)
        self.review.refresh()
        self.second_look.refresh()
        self.object_editing.selection_changed()  # its outline may have changed
        self.settling.refresh()
        self.tabs.tabs["Objects"].description = f"Objects ({len(objects)})"

    def refresh_model(self) -> None:
        """Show the rounds, and what can be started."""
        session = self.session
        has_labels, is_training = any(session.scenes.values()), bool({"retrain", "distill"} & self.work.running)
        rounds = session.rounds
        self.maps.show_students([r.number for r in rounds if r.is_student])
        self.model.show(rounds, session.round, has_labels, is_training, session.previewing)
        self._refresh_buttons()

    def _refresh_export(self) -> None:
        session, idle = self.session, "export" not in self.work.running
        has_labels = bool(session.objects)
        known = has_labels or bool(session.state.reviewed)
        self.export.show(
            {"labels": has_labels, "map": idle and session.prediction is not None, "chips": idle and known}
        )

    def refresh_prediction_state(self) -> None:
        """Show which class map there is."""
        self._refresh_export()
        prediction = self.session.prediction
        number = None if prediction is None else prediction.round
        knows_classes = bool(self.session.objects) or self.session.round > 0
        is_looking = bool({"predict", "find"} & self.work.running)
        self.maps.show(number, self.session.round, knows_classes, is_looking)
        self.finding.show(list(self.session.classes), knows_classes, is_looking)
        self.checking.refresh()


def label(source: Any = None, **options: Any) -> Labeler:
    """Open a scene, or several, and label them: `Labeler(seglab.open(source, ...))`.

    Args:
        source: see `seglab.open`.
        options: of `seglab.open`: classes, project, model, bands, device, checkpoint, author.
    """
    return Labeler(open_session(source, **options))
