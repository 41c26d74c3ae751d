"""Every error a user of seglab can meet; each message says what to do next."""

from __future__ import annotations


class SegLabError(Exception):
    """Base of all seglab errors."""


# -- scenes


class SceneNotFoundError(SegLabError):
    """The source of a scene does not exist."""


class NotARasterError(SegLabError):
    """The source exists but no raster driver can read it."""


class DamagedSceneError(SegLabError):
    """The raster opens but its pixels cannot be read (truncated or corrupt)."""


class EmptySceneError(SegLabError):
    """The scene has no valid pixel."""


class UnsupportedSceneError(SegLabError):
    """The raster's data type, shape or layout is not one that seglab maps (complex numbers, for example)."""


class BandError(SegLabError):
    """A band was asked for that the scene does not have."""


class SceneChangedError(SegLabError):
    """The file of an open scene was replaced by a raster of another shape, place or data type."""


class DateError(SegLabError):
    """A date is unknown or not understood, or its raster does not fit those of the other dates."""


class SceneClosedError(SegLabError):
    """A scene was read after it was closed."""


class StretchError(SegLabError):
    """The percentiles of a stretch make no sense."""


class LookError(SegLabError):
    """A look names a colour ramp that there is not."""


class MissingCRSError(SegLabError):
    """A coordinate reference system is needed and the scene has none."""


class OutsideSceneError(SegLabError):
    """A click, box or polygon lies outside the scene."""


class PlaceError(SegLabError):
    """What was written is not understood as a place."""


# -- models


class ModelNotFoundError(SegLabError):
    """No model of that name is registered."""


class CheckpointError(SegLabError):
    """A weights file is damaged or belongs to another model."""


class DownloadError(SegLabError):
    """A checkpoint could not be downloaded."""


class ChecksumError(DownloadError):
    """A downloaded checkpoint is not the file it should be; it was not kept."""


class DeviceError(SegLabError):
    """The device that was asked for is not there."""


class AdapterError(SegLabError):
    """No adapter family of that name, or it does not go at that place in the encoder."""


class RoundMismatchError(SegLabError):
    """A round was trained for other weights, bands or adapter places than the ones in use."""


# -- labelling


class NoMaskError(SegLabError):
    """There is no current mask to accept."""


class PromptError(SegLabError):
    """A prompt is empty or not finite."""


class UnknownClassError(SegLabError):
    """The class is not one of the session's classes."""


class NoLabelsError(SegLabError):
    """Training or export was asked for and nothing is labelled yet."""


class NoPredictionError(SegLabError):
    """A class map was asked for and the scene has not been mapped yet."""


class TrainingError(SegLabError):
    """A round cannot be trained as asked."""


class SuggestionError(SegLabError):
    """Where to label next cannot be told as asked, or no window is suggested."""


class SecondLookError(SegLabError):
    """Labels cannot be compared with what rounds say: there are too few rounds."""


class ClusterError(SegLabError):
    """Clusters of a scene cannot be found or changed as asked."""


class MapCheckError(SegLabError):
    """A map cannot be checked by a sample as asked, or too little of the sample is checked yet."""


class NothingToUndoError(SegLabError):
    """There is no action left to undo or to redo."""


class UnknownRoundError(SegLabError):
    """No such round in the project."""


class RoundFileError(SegLabError):
    """A file is not an exported round, or is damaged."""


# -- editing labels


class UnknownObjectError(SegLabError):
    """The project has no such accepted object."""


class UnknownProposalError(SegLabError):
    """The project has no such proposed object that waits for an answer."""


class ProposalError(SegLabError):
    """Objects cannot be proposed as asked."""


class MaskTidyError(SegLabError):
    """A mask cannot be tidied as asked."""


class LabelsFileError(SegLabError):
    """A file of labels made elsewhere cannot be imported as it is."""


class AgreementError(SegLabError):
    """Two annotators' labels cannot be merged as asked."""


class ObjectEditError(SegLabError):
    """An accepted object cannot be changed in that way."""


# -- projects and export


class ProjectError(SegLabError):
    """A project cannot be used as asked (it belongs to another scene, for example)."""


class ProjectDamagedError(ProjectError):
    """A project folder is damaged; nothing in it was changed."""


class ProjectBusyError(ProjectError):
    """Another process keeps the project locked."""


class UnknownFormatError(SegLabError):
    """No exporter for that suffix."""


class WriteError(SegLabError):
    """A result could not be written; nothing half-written stands under its final name."""


# -- optional parts


class MissingPackageError(SegLabError):
    """A package that only some users need is needed and not installed."""


# -- jobs


class WorkerError(SegLabError):
    """A worker of a cluster did not do its task; what others have finished is kept."""


class JobCancelled(SegLabError):  # noqa: N818 - an outcome, not a fault
    """The job was cancelled before it finished."""


class JobRunningError(SegLabError):
    """A job of this kind is already running."""


# -- labelled data and pretraining


class DatasetError(SegLabError):
    """A folder of labelled imagery is missing, damaged or not in the split file."""


class BenchError(SegLabError):
    """A benchmark's measurement failed."""


class PretrainError(SegLabError):
    """A pretraining configuration, prepared ground or checkpoint cannot be used as asked."""
