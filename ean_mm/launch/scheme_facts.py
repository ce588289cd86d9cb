"""What schemes cost, and how long one training takes, measured in one network that has every attention."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from mmengine.config import Config

from ..analysis import Cost, measure_cost, measure_latency
from ..hooks.wrapped_backbone import find_backbone, unwrap
from ..structures import ConnectionScheme
from .training import make_runner

NUM_TIMED = 5


class SchemeFacts:
    """Costs of schemes side by side, and an estimate of the time of a training.

    Args:
        full: config of a training with the scheme 'all'.
        work_dir: for the logs of this measurement.

    Attributes:
        backbone: the wrapped backbone.
        costs: of the whole network.
        latency_ms: of the schemes that :meth:`measure` was given.
    """

    def __init__(self, full: Config, work_dir: Path):
        self.cfg = full
        self.runner = make_runner(full, work_dir, seed=0)
        self.model: Any = unwrap(self.runner.model).eval()
        self.backbone = find_backbone(self.model)
        loader = self.runner.build_dataloader(full.test_dataloader)
        self._one_image = loader.collate_fn([loader.dataset[0]])
        self.costs = measure_cost(self.model, self.backbone, self._run)
        self.latency_ms: dict[ConnectionScheme, float] = {}

    def measure(self, schemes: Iterable[ConnectionScheme]) -> None:
        """Measure the latency of schemes on one image, all in turn."""

        def run_under(scheme: ConnectionScheme) -> None:
            self.backbone.set_scheme(scheme)
            self._run()

        device = next(self.model.parameters()).device
        self.latency_ms = measure_latency(run_under, list(dict.fromkeys(schemes)), device)
        self.backbone.set_scheme('all')

    def _run(self) -> object:
        return self.model(**self.model.data_preprocessor(self._one_image, False), mode='tensor')

    def describe(self, schemes: Iterable[ConnectionScheme]) -> dict[str, Any]:
        """Costs of a scheme by name, or the means of several."""
        schemes = list(schemes)
        costs: list[Cost] = [self.costs.cost(scheme) for scheme in schemes]
        return dict(
            num_connected=round(mean(scheme.num_connected for scheme in schemes)),
            params=round(mean(cost.params for cost in costs)),
            macs=round(mean(cost.macs for cost in costs)),
            elementwise=round(mean(cost.elementwise for cost in costs)),
            latency_ms=mean(self.latency_ms[scheme] for scheme in schemes),
        )

    def estimate_seconds(self) -> float:
        """Seconds of training and testing one network, from a few batches of each; the weights here change by it."""
        cfg, runner = self.cfg, self.runner
        train_loader = runner.build_dataloader(cfg.train_dataloader)
        test_loader = runner.build_dataloader(cfg.test_dataloader)
        wrapper = runner.build_optim_wrapper(cfg.optim_wrapper)
        runner.model.train()
        per_step = _time_batches(iter(train_loader), lambda batch: runner.model.train_step(batch, wrapper))
        runner.model.eval()
        with torch.no_grad():
            per_test = _time_batches(iter(test_loader), self.model.test_step)
        max_iters, max_epochs = cfg.train_cfg.get('max_iters'), cfg.train_cfg.get('max_epochs', 0)
        num_steps = max_iters or max_epochs * len(train_loader)
        is_validated = cfg.get('val_dataloader') is not None
        num_tests = 1 + is_validated * (max_iters or max_epochs) // cfg.train_cfg.get('val_interval', 1)
        return num_steps * per_step + num_tests * len(test_loader) * per_test


def _time_batches(batches: Iterator[Any], run: Callable[[Any], object]) -> float:
    """Seconds per batch, loading included, the first one not counted unless it is the only one."""
    first = next(batches)
    run(first)
    start = time.perf_counter()
    num = 0
    for batch in islice(batches, NUM_TIMED):
        run(batch)
        num += 1
    if not num:
        run(first)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / max(num, 1)
