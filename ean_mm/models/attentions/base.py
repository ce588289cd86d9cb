"""What every attention of this package is: a stateless module with a known width."""

from __future__ import annotations

from mmengine.model import BaseModule

from ...structures.checks import require_whole


class AttentionModule(BaseModule):
    """An attention module: a map of its input's shape, built from the number of channels.

    ``forward(x)`` returns a tensor of x's shape, so each is also an ordinary MM plugin layer. A module that hands a state
    from call to call is recurrent: it adds ``step(x, carry) -> (y, carry)``, and keeps nothing on itself.

    Args:
        in_channels: C, the width of the residual branch.
        init_cfg: an mmengine initialisation config.

    Raises:
        ValueError: if ``in_channels`` is below 1.
    """

    def __init__(self, in_channels: int, init_cfg: dict | None = None):
        super().__init__(init_cfg)
        self.in_channels = require_whole('in_channels', in_channels, 1)
