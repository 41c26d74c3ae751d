"""The adapter families by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from seglab.errors import AdapterError
from seglab.models.adapters.atl import (
    AtlAdapter,
    AtlConvAdapter,
    AtlNoResidualAdapter,
    AtlSerialAdapter,
    AtlSerialNoResidualAdapter,
    AtlTwoLayerAdapter,
)
from seglab.models.adapters.base import Adapter, first_block
from seglab.models.adapters.lora import LoraAdapter
from seglab.models.adapters.neck import NeckAdapter
from seglab.models.adapters.references import FullTuning, NoAdapter
from seglab.models.adapters.serial import SerialAdapter, SerialNormAdapter
from seglab.models.spec import SamSpec

ADAPTERS: Mapping[str, type[Adapter]] = MappingProxyType(
    {
        family.name: family
        for family in (
            AtlAdapter,
            AtlTwoLayerAdapter,
            AtlConvAdapter,
            AtlSerialAdapter,
            AtlNoResidualAdapter,
            AtlSerialNoResidualAdapter,
            LoraAdapter,
            SerialAdapter,
            SerialNormAdapter,
            NeckAdapter,
            NoAdapter,
            FullTuning,
        )
    }
)
"""Every family that a round can train, by its name."""


def new_adapter(name: str, spec: SamSpec, adapt_from: str | int) -> Adapter:
    """An untrained adapter for a model of that shape.

    Args:
        name: a key of ADAPTERS.
        spec: the model's shape.
        adapt_from: where it starts: see `first_block`.

    Raises:
        AdapterError: no family of that name, or it does not go there.
        RoundMismatchError: the encoder has no such place.
    """
    family = _family(name)
    block = first_block(adapt_from, spec.depth)
    if block not in _blocks(family, spec.depth):
        raise AdapterError(
            f"the adapter {name!r} does not go at adapt_from={adapt_from!r}; choose one of {', '.join(family.places)}"
            f", or another adapter: {', '.join(_that_go(block, spec.depth))}"
        )
    return family.for_spec(spec, block)


def adapter_places(name: str) -> tuple[str, ...]:
    """The presets for `adapt_from` where a family makes sense.

    Raises:
        AdapterError: no family of that name.
    """
    return _family(name).places


def _family(name: str) -> type[Adapter]:
    if name not in ADAPTERS:
        raise AdapterError(f"no adapter is called {name!r}; choose one of {', '.join(ADAPTERS)}")
    return ADAPTERS[name]


def _blocks(family: type[Adapter], depth: int) -> set[int]:
    """The block numbers where a family goes: depth is after all blocks, less is before one."""
    blocks = {depth} if "neck" in family.places else set()
    return blocks | set(range(depth)) if set(family.places) - {"neck"} else blocks


def _that_go(block: int, depth: int) -> list[str]:
    return [name for name, family in ADAPTERS.items() if block in _blocks(family, depth)]
