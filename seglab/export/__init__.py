"""Labels in the formats of other programs; the suffix of the path chooses the format."""

from __future__ import annotations

from seglab.export.labels import SUFFIXES, export_labels

__all__ = ["SUFFIXES", "export_labels"]
