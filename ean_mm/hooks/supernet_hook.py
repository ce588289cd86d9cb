"""Train one network under a fresh random scheme per iteration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_reduce, get_world_size
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from ..evaluation import save_supernet
from ..registry import HOOKS
from ..structures import ConnectionScheme
from ..structures.checks import require_one_of, require_whole
from ..structures.scheme_sampling import SAMPLINGS, sample_scheme
from .gradient_guard import GradientGuard
from .identity import training_identity
from .wrapped_backbone import find_backbone, unwrap

SUPERNET_FILE = 'supernet.pth'


@HOOKS.register_module()
class SupernetHook(Hook):
    """Give every training iteration its own connection scheme, and write the supernet when training ends.

    The scheme is a function of (seed, iteration), so every rank has the same without a word, and a resumed training goes on
    as if nothing had happened. Validation during training sees every connection on.
    Source: arXiv:2011.14058, section 4.2 ('bernoulli'). Differs: 'stratified' draws the number of connections first.

    Runs: before each training iteration; around validation; after training.
    Reads: the model's EANBackbone (built with scheme 'all'), ``runner.iter``.
    Writes: ``work_dir/supernet.pth`` (rank 0, atomic); makes checkpoints free of anything but plain types.
    Resume: by mmengine's checkpoints, from the last epoch.
    Ranks: all compute the same scheme; ``check_ranks=True`` compares them every iteration.

    Args:
        sampling: 'bernoulli' (each block with probability 1/2) or 'stratified' (by the number of connections).
        seed: at least 0.
        max_failures: so many non-finite gradients in a row stop the training.
        check_ranks: compare the schemes of all ranks, for debugging.

    Raises:
        ValueError: if an argument is none of the above, or the model cannot be a supernet.
    """

    priority = 'BELOW_NORMAL'

    def __init__(
        self,
        sampling: str = 'stratified',
        seed: int = 0,
        max_failures: int = 5,
        check_ranks: bool = False,
    ):
        self.sampling = require_one_of('sampling', sampling, SAMPLINGS)
        self.seed = require_whole('seed', seed, 0)
        self.max_failures = require_whole('max_failures', max_failures, 1)
        self.check_ranks = check_ranks
        self._has_trained = False

    def before_train(self, runner: Runner) -> None:
        self.backbone = find_backbone(runner.model)
        self._require_supernet(runner)
        self._guard = GradientGuard(runner.optim_wrapper.optimizer, self.max_failures)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        scheme = sample_scheme(self.backbone.blocks_per_stage, self.sampling, self.seed, runner.iter)
        if self.check_ranks:
            _require_same_on_all_ranks(scheme)
        self.backbone.set_scheme(scheme)
        self._has_trained = True

    def before_val_epoch(self, runner: Runner) -> None:
        find_backbone(runner.model).set_scheme('all')

    def after_train(self, runner: Runner) -> None:
        self._guard.remove()
        self.backbone.set_scheme('all')
        path = Path(runner.work_dir) / SUPERNET_FILE
        is_lost = runner.iter > 0 and not path.exists()  # trained to the end before, and killed before this line
        if runner.rank == 0 and (self._has_trained or is_lost):
            save_supernet(path, unwrap(runner.model).state_dict(), training_identity(runner.cfg))
            runner.logger.info(f'Supernet written to {path}')

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Say which training this is; leave out the smoothed log values, the one part that needs code to be read."""
        checkpoint['meta']['ean_mm_identity'] = training_identity(runner.cfg)
        checkpoint['message_hub'] = dict(log_scalars={}, runtime_info={}, resumed_keys={})

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Leave out the entry that mmengine would run as a config."""
        checkpoint.get('meta', {}).pop('config', None)

    def _require_supernet(self, runner: Runner) -> None:
        unbuilt = [slot for slot in self.backbone.slots if slot.attention is None]
        if unbuilt:
            raise ValueError(
                f"`scheme` must be 'all' to train a supernet, but got '{self.backbone.scheme}'; "
                'leave scheme and ticket out of the backbone.'
            )
        if not is_model_wrapper(runner.model):
            return
        if not getattr(runner.model, 'find_unused_parameters', True):
            raise ValueError(
                '`find_unused_parameters` must be True to train a supernet on several ranks, but got False; '
                'set it at the top level of the config.'
            )
        if any(getattr(site.block, 'with_cp', False) for site in self.backbone.sites):
            raise ValueError(
                '`with_cp` must be False to train a supernet on several ranks, but got True; '
                'checkpointed blocks mark a shared parameter ready twice.'
            )


def _require_same_on_all_ranks(scheme: ConnectionScheme) -> None:
    bits = torch.from_numpy(scheme.mask.astype(np.int64))
    total = bits.clone()
    all_reduce(total, op='sum')
    if not torch.equal(total, bits * get_world_size()):
        raise RuntimeError(f"`scheme` must be the same on every rank, but got '{scheme}' here and another elsewhere.")
