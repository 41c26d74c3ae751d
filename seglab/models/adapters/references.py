"""What adapters are measured against: nothing in the encoder, and everything from block k on."""

from __future__ import annotations

from seglab.models.adapters.base import PLACES, Adapter
from seglab.models.spec import SamSpec


class NoAdapter(Adapter):
    """Leaves the encoder as it is: a round trains the mask decoder and the class prompts alone."""

    name = "none"
    places = PLACES

    @classmethod
    def for_spec(cls, spec: SamSpec, adapt_from: int) -> NoAdapter:
        """For any model."""
        return cls(adapt_from)


class FullTuning(Adapter):
    """No layers of its own: the blocks from k on and the neck are trained themselves.

    At k = 0 the patch embedding and the position belong to what is trained. They learn only where training starts from
    pixels (`AdaptedSam.encode`): a stored prefix lies behind them.
    """

    name = "full"
    places = PLACES
    trains_suffix = True

    @classmethod
    def for_spec(cls, spec: SamSpec, adapt_from: int) -> FullTuning:
        """For any model."""
        return cls(adapt_from)
