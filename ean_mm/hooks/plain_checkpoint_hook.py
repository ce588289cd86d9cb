"""Checkpoints that every version of torch reads without running code."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.runner import Runner

from ..registry import HOOKS


@HOOKS.register_module()
class PlainCheckpointHook(Hook):
    """Leave the smoothed log values out of checkpoints, the one part that needs code to be read.

    Without it torch >= 2.6 refuses upstream mmengine's checkpoints, on resume and in tests.

    Writes: the ``message_hub`` of each checkpoint, emptied.
    """

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        checkpoint['message_hub'] = dict(log_scalars={}, runtime_info={}, resumed_keys={})
