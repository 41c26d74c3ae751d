"""What lives on disk: projects (event log, labels, rounds), array caches, rasters written by blocks."""

from __future__ import annotations
