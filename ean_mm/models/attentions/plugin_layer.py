"""Layers registered with MM as attention."""

from __future__ import annotations

from mmengine.registry import MODELS as MMENGINE_MODELS
from torch import nn

from ...registry import MODELS, build_from, suggest
from .adapter import REFUSALS, AdaptedAttention
from .base import is_recurrent

_SIDE = 56  # of the map on which the shape is tried


@MODELS.register_module()
class PluginLayer(AdaptedAttention):
    """Any layer that is registered with MM and takes ``in_channels``: mmcv's ContextBlock, NonLocal2d, ..., or your own.

    Args:
        in_channels: C, the width of the residual branch at this stage.
        cfg: config of the layer, its type scoped (``mmcv.ContextBlock``); it is built with ``in_channels``.
        init_cfg: an mmengine initialisation config.

    Shape: x, y: (N, C, H, W), with H and W as the layer wants them.
    Cost: the layer's.
    Raises:
        ImportError: if the layer is mmcv's and mmcv is not installed.
        ValueError: if the layer is unknown, does not take ``in_channels`` or the other arguments, changes its input's shape, or
            hands on a state, which would be lost.

    >>> PluginLayer(in_channels=8, cfg=dict(type='mmcv.ContextBlock', ratio=0.5))(torch.ones(2, 8, 5, 5)).shape
    torch.Size([2, 8, 5, 5])
    """

    def __init__(self, in_channels: int, cfg: dict, init_cfg: dict | None = None):
        super().__init__(in_channels, init_cfg)
        self.layer: nn.Module = _build_layer(cfg, in_channels)
        self.bound_to = getattr(self.layer, 'bound_to', '')
        if is_recurrent(self.layer):
            raise ValueError(
                f'`cfg` must name a layer that hands on no state, but got {cfg!r}; give it as the attention itself.'
            )
        self.check_shape(_SIDE, _SIDE, 'cfg', cfg)


def _build_layer(cfg: dict, in_channels: int) -> nn.Module:
    found = _find_in_mmcv(cfg)
    try:
        return build_from(MODELS, found, 'cfg', in_channels=in_channels)
    except ValueError:  # a sentence already, build_from's or the layer's own
        raise
    except REFUSALS as err:
        raise ValueError(
            f'`cfg` must name a layer that takes `in_channels` and the arguments given, but got {cfg!r}; '
            f'it answers {err!r}.'
        ) from err


def _find_in_mmcv(cfg: dict) -> dict:
    """Replace a type ``mmcv.X`` by its class: mmcv registers its layers with mmengine, where its own scope finds nothing."""
    name = cfg.get('type') if isinstance(cfg, dict) else None
    scope, _, bare = name.partition('.') if isinstance(name, str) else ('', '', '')
    if scope != 'mmcv' or '.' in bare:
        return cfg
    try:
        import mmcv.cnn  # noqa: F401 (it registers its layers)
    except ImportError as err:
        raise ImportError(f'`cfg` must name a layer of an installed package, but got {name!r} ({err}).') from err
    known = MMENGINE_MODELS.module_dict
    if bare not in known:
        hint = suggest(bare, known, 'see mmcv.cnn.', 'mmcv.')
        raise ValueError(f'`cfg` must name a registered layer, but got {name!r}; {hint}')
    return {**cfg, 'type': known[bare]}
