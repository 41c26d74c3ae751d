"""What GDAL says when it fails."""

from __future__ import annotations


def told(error: BaseException) -> str:
    """What GDAL said of a failure, the block of the file among it: rasterio's own message often only points to that."""
    causes: list[str] = []
    cause: BaseException | None = error
    while cause is not None:
        causes.append(str(cause).rstrip("."))
        cause = cause.__cause__
    return ": ".join(causes[1:] or causes)
