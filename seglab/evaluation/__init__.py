"""How good masks are: the click and box protocols, methods to compare with, and how sure a mean is."""

from __future__ import annotations
