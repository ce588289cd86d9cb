"""Keep a loss that is not a number out of the weights."""

from __future__ import annotations

import torch
from mmengine.logging import print_log
from torch.optim import Optimizer


class TrainingFailedError(RuntimeError):
    """Training met nothing but non-finite gradients several times in a row."""


class GradientGuard:
    """Drop the gradients of an iteration when one of them is not finite, and stop after several in a row.

    Dropped gradients leave weights, momentum and weight decay of that iteration undone.

    Args:
        optimizer: whose steps are guarded.
        max_failures: so many in a row stop the training.
    """

    def __init__(self, optimizer: Optimizer, max_failures: int):
        self.max_failures = max_failures
        self.num_dropped = 0
        self._in_a_row = 0
        self._handle = optimizer.register_step_pre_hook(self._check)

    def remove(self) -> None:
        """Leave the optimizer as it was."""
        self._handle.remove()

    def _check(self, optimizer: Optimizer, args: tuple, kwargs: dict) -> None:
        grads = [p.grad for group in optimizer.param_groups for p in group['params']]
        present = [grad for grad in grads if grad is not None]
        if not present or torch.stack([grad.sum() for grad in present]).isfinite().all():
            self._in_a_row = 0
            return
        optimizer.zero_grad(set_to_none=True)
        self.num_dropped += 1
        self._in_a_row += 1
        print_log(f'Dropped an iteration with a non-finite gradient ({self.num_dropped} so far).', 'current')
        if self._in_a_row >= self.max_failures:
            raise TrainingFailedError(
                f'Training stopped after {self._in_a_row} iterations in a row with a non-finite loss or gradient; '
                'the last checkpoint is intact: lower the learning rate and run the same command again.'
            )
