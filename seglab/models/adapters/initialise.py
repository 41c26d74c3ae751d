"""How the published branch starts: small, but not at zero."""

from __future__ import annotations

import math

from torch import nn


def initialise(module: nn.Module) -> None:
    """Linear: truncated normal, std 0.02; convolution: normal, He by fan-out; every bias 0.

    To be used with `nn.Module.apply`. The fan-out of a grouped convolution is that of one group.
    """
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Conv2d):
        fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels // module.groups
        nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
        nn.init.zeros_(module.bias)
