"""Labelled imagery on disk and which part of it may be used for what."""

from __future__ import annotations
