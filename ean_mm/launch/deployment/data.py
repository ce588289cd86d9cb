"""The images that a deployment looks at."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader

from ...evaluation import CalibrationImages, find_pipeline, with_pipeline
from .options import DeployOptions

# Metrics that are looked at where none is named; higher is better.
_CANDIDATES = ('accuracy/top1', 'mIoU', 'count/neg_mae')


class DeploymentData:
    """The images of a config, for equality, calibration and metrics.

    Args:
        cfg: config that the network was trained with.
        runner: builds loaders and evaluators.
        options: how many images.
    """

    def __init__(self, cfg: Config, runner: Runner, options: DeployOptions):
        self.cfg = cfg
        self.runner = runner
        self.options = options
        self.test_loader: DataLoader = runner.build_dataloader(cfg.test_dataloader, seed=0)

    @cached_property
    def val_loader(self) -> DataLoader:
        """The validation images; several networks are scored on them."""
        return self.runner.build_dataloader(self.cfg.val_dataloader, seed=0)

    def test_batches(self) -> list[Any]:
        """The first test images, collated; those of a batch are of one size."""
        dataset: Any = self.test_loader.dataset
        collate: Any = self.test_loader.collate_fn
        groups: dict[tuple[int, ...], list[Any]] = {}
        for index in range(min(self.options.num_images, len(dataset))):
            item = dataset[index]
            groups.setdefault(tuple(item['inputs'].shape), []).append(item)
        size = self.test_loader.batch_size or 1
        return [
            collate(group[start : start + size]) for group in groups.values() for start in range(0, len(group), size)
        ]

    def dataset_meta(self) -> dict:
        """What a checkpoint of MM says about its classes, in plain types."""
        metainfo = getattr(self.test_loader.dataset, 'metainfo', {})
        return {key: _to_plain(metainfo[key]) for key in ('classes', 'palette') if metainfo.get(key) is not None}

    def calibration(self) -> CalibrationImages:
        """Training images under test transforms."""
        pipeline = find_pipeline(self.cfg.test_dataloader.dataset)
        dataset = with_pipeline(self.cfg.train_dataloader.dataset, pipeline)
        size = self.cfg.test_dataloader.get('batch_size') or 1
        collate: Any = self.test_loader.collate_fn
        return CalibrationImages(dataset, self.options.num_calibration_images, size, 0, collate)

    def score(self, model: nn.Module) -> float:
        """The metric that counts, on the validation images.

        Raises:
            ValueError: if the evaluator does not report it.
        """
        metrics = self.evaluate(model, 'val')
        names = [self.options.metric] if self.options.metric else [name for name in _CANDIDATES if name in metrics]
        if not names or names[0] not in metrics:
            raise ValueError(
                f'`metric` must be one that the evaluator reports ({", ".join(metrics)}), but got {self.options.metric!r}; '
                'name it with --metric.'
            )
        return metrics[names[0]]

    def evaluate(self, model: Any, part: str) -> dict[str, float]:
        """All metrics of a model on the 'val' or 'test' images."""
        loader: Any = self.test_loader if part == 'test' else self.val_loader
        evaluator: Evaluator = self.runner.build_evaluator(self.cfg[f'{part}_evaluator'])
        evaluator.dataset_meta = getattr(loader.dataset, 'metainfo', None)
        model.eval()
        for batch in loader:
            with torch.no_grad():
                outputs = model.test_step(batch)
            evaluator.process(data_samples=outputs, data_batch=batch)
        return {key: float(value) for key, value in evaluator.evaluate(len(loader.dataset)).items()}


def _to_plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)) or hasattr(value, 'tolist'):
        return [_to_plain(each) for each in getattr(value, 'tolist', lambda: value)()]
    return value
