"""What a deployment may do, and the images it looks at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader

from ..evaluation import CalibrationImages, find_pipeline, with_pipeline
from ..structures.checks import require_one_of
from .export import FORMATS

# Metrics that are looked at where none is named; higher is better.
_CANDIDATES = ('accuracy/top1', 'mIoU', 'count/neg_mae')


@dataclass(frozen=True)
class DeployOptions:
    """What deployment may do.

    Attributes:
        formats: of ``pth``, ``safetensors``, ``onnx``, ``pt2``.
        max_drop: fold nearly constant gates as long as the metric of the validation images drops by no more; None folds none.
        threshold: fold the gates of sites whose deviation over images is below it; None folds none. Not with ``max_drop``.
        metric: what counts, a key of the evaluator's result; None takes top-1 accuracy, mIoU or the negative MAE.
        accelerate: rewrite the forward pass where attention stays.
        num_images: test images on which equality is shown.
        num_calibration_images: training images for gates and batch norm.
        trust_checkpoint: read a checkpoint that can run code when it is read.
    """

    formats: Sequence[str] = ('pth',)
    max_drop: float | None = None
    threshold: float | None = None
    metric: str | None = None
    accelerate: bool = True
    num_images: int = 64
    num_calibration_images: int = 1000
    trust_checkpoint: bool = False

    @property
    def folds_stripes(self) -> bool:
        """Whether gates that are not constant may be folded."""
        return self.max_drop is not None or self.threshold is not None

    def check(self) -> None:
        """Refuse options that contradict each other or are out of range.

        Raises:
            ValueError: if they do.
        """
        if self.max_drop is not None and self.threshold is not None:
            raise ValueError(
                f'`max_drop` must be left out beside a threshold, but got {self.max_drop!r} and {self.threshold!r}.'
            )
        for name in ('max_drop', 'threshold'):
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise ValueError(f'`{name}` must be at least 0, but got {value!r}.')
        if self.metric is not None and self.max_drop is None:
            raise ValueError(
                f'`metric` must be left out where no drop of it is limited, but got {self.metric!r}; give --max-drop too.'
            )
        if self.num_images < 1:
            raise ValueError(f'`num_images` must be at least 1, but got {self.num_images!r}.')
        for name in self.formats:
            require_one_of('format', name, FORMATS)


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
