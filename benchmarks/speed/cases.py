"""The searches that search.py times: a network with random weights, random images, and what is proposed."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from typing import Any

import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.model import BaseModel, ImgDataPreprocessor
from mmengine.structures import BaseDataElement
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset

from ean_mm.analysis import WorkCounter
from ean_mm.evaluation import find_norms, recalibrated
from ean_mm.models import EANBackbone
from ean_mm.structures import ConnectionScheme

from .trace_facts import TRACES, Trace, TraceFacts, count_facts

NUM_CLASSES = 10
NUM_SETTLING_SCHEMES = 8
NUM_TIMINGS = 15
ATTENTION_STD = 0.5
SMALL_SE = dict(type='ean_mm.SE', reduction=4, min_channels=4)
DEMO = dict(backbone=dict(type='ean_mm.ResNetCifar', depth=20), attention=SMALL_SE)
DEMO8 = dict(backbone=dict(type='ean_mm.ResNetCifar', depth=8), attention=SMALL_SE)
RESNET50 = dict(backbone=dict(type='mmpretrain.ResNet', depth=50), attention=dict(type='ean_mm.SE'))
RESNET164 = dict(
    backbone=dict(type='ean_mm.ResNetCifar', depth=164, block='bottleneck'), attention=dict(type='ean_mm.SE')
)


@dataclass(frozen=True)
class Case:
    """What is searched, on how many images, and with how much room.

    Attributes:
        network: arguments of ``EANBackbone``.
        trace: name of the file of proposals in traces/; None for every scheme of the layout, all at once.
        image_size: height and width.
        num_images: reward images.
        batch_size: images at once.
        num_calibration: images on which batch norm is recalibrated for every scheme; 0 for the supernet's statistics.
        budgets: for activations, in GiB.
        num_steps: of the trace; None for all.
    """

    network: dict
    trace: str | None
    image_size: int
    num_images: int
    batch_size: int
    num_calibration: int = 0
    budgets: tuple[float, ...] = (2.0,)
    num_steps: int | None = None

    def shrink(self) -> Case:
        """The same search in little: a few steps on a few small images."""
        network = DEMO8 if self.trace is None else self.network
        calibration = min(self.num_calibration, 4)
        return replace(
            self, network=network, image_size=32, num_images=4, batch_size=2, num_calibration=calibration, num_steps=4
        )


CASES = {
    'demo': Case(DEMO, '3-3-3', 32, 2000, 250, 1000),
    'resnet50-128': Case(RESNET50, '3-4-6-3', 128, 64, 32, budgets=(0, 0.5, 2, 4, 8)),
    'resnet50-64': Case(RESNET50, '3-4-6-3', 64, 16, 16, budgets=(inf,)),
    'resnet164': Case(RESNET164, '18-18-18', 32, 64, 64),
    'atlas': Case(DEMO, None, 32, 2000, 250, 1000),
}


class RandomImages(Dataset):
    """Coarse coloured noise, uint8, decoded once and for all: what loading images costs is not part of this benchmark."""

    def __init__(self, count: int, size: int, seed: int):
        rng = np.random.default_rng(seed)
        coarse = rng.integers(0, 256, (count, 3, 4, 4), dtype=np.uint8)
        repeats = -(-size // 4)
        fine = coarse.repeat(repeats, 2).repeat(repeats, 3)[:, :, :size, :size]
        noise = rng.integers(0, 64, fine.shape, dtype=np.uint8)
        self.images = torch.from_numpy(fine // 4 * 3 + noise)
        self.labels = rng.integers(NUM_CLASSES, size=count).tolist()

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict:
        return dict(inputs=self.images[index], data_samples=BaseDataElement(label=self.labels[index]))


class RandomNetwork(BaseModel):
    """The least that makes a classifier of a backbone: the mean over positions of its last map, and a linear layer."""

    def __init__(self, backbone: EANBackbone, channels: int):
        super().__init__(ImgDataPreprocessor(mean=[127.5] * 3, std=[64.0] * 3))
        self.backbone = backbone
        self.classify = nn.Linear(channels, NUM_CLASSES)

    def forward(self, inputs: Tensor, data_samples: Sequence[BaseDataElement] = (), mode: str = 'tensor') -> Any:
        logits = self.classify(self.backbone(inputs)[-1].mean((2, 3)))
        if mode == 'tensor':
            return logits
        samples = zip(data_samples, logits, strict=True)
        return [BaseDataElement(label=sample.label, logits=each) for sample, each in samples]


class LogLikelihood(BaseMetric):
    """Mean log-probability of the labels: unlike an accuracy, it tells any two networks apart."""

    default_prefix = 'labels'

    def process(self, data_batch: object, data_samples: Sequence[dict]) -> None:
        logits = torch.stack([sample['logits'] for sample in data_samples]).double().cpu()
        labels = torch.tensor([sample['label'] for sample in data_samples])
        self.results.extend((-cross_entropy(logits, labels, reduction='none')).tolist())

    def compute_metrics(self, results: list) -> dict:
        return dict(log_likelihood=sum(results) / len(results))


METRIC = 'labels/log_likelihood'


@dataclass(frozen=True)
class Search:
    """A case that is ready to run.

    Attributes:
        model: the network, in evaluation mode.
        dataloader: of the reward images.
        evaluator: reports ``METRIC``.
        calibration: collated batches; empty to score with the network's own statistics.
        steps: what is proposed, step by step.
    """

    model: RandomNetwork
    dataloader: DataLoader
    evaluator: Evaluator
    calibration: tuple[dict, ...]
    steps: tuple[tuple[ConnectionScheme, ...], ...]

    @property
    def schemes(self) -> list[ConnectionScheme]:
        """All proposals in order."""
        return [scheme for step in self.steps for scheme in step]

    def count(self) -> TraceFacts:
        """What the proposals repeat."""
        return count_facts(self.schemes)

    def count_macs(self) -> tuple[list[int], int]:
        """MACs of each block for one image with no attention, and of what comes before and after the blocks."""
        backbone = self.model.backbone
        backbone.set_scheme(ConnectionScheme.none(backbone.blocks_per_stage))
        images = self._images()[:1]
        with WorkCounter() as counter:
            return self._divide(images, lambda: counter.work.macs)

    def time_blocks(self) -> tuple[list[float], float]:
        """Seconds of each block for one batch with attention everywhere, and of what comes before and after the blocks."""
        backbone = self.model.backbone
        backbone.set_scheme(ConnectionScheme.all(backbone.blocks_per_stage))
        images = self._images()
        rounds = [self._divide(images, time.perf_counter) for _ in range(NUM_TIMINGS)]
        blocks = [statistics.median(times) for times in zip(*(blocks for blocks, _ in rounds), strict=True)]
        return blocks, statistics.median(rest for _, rest in rounds)

    def _divide(self, images: Tensor, read: Callable[[], Any]) -> tuple[list, Any]:
        """What a meter gains in each block during one pass, and outside the blocks."""
        backbone = self.model.backbone
        gains: list[Any] = [0] * backbone.num_connections

        def add(block: int, sign: int, *_: object) -> None:
            gains[block] += sign * read()

        with ExitStack() as hooks, torch.no_grad():
            for block, site in enumerate(backbone.sites):
                hooks.enter_context(site.block.register_forward_pre_hook(partial(add, block, -1)))
                hooks.enter_context(site.block.register_forward_hook(partial(add, block, 1)))
            before = read()
            backbone(images)
            return gains, read() - before - sum(gains)

    def settle(self) -> None:
        """Give the random network batch-norm statistics, those of random schemes, so that no activation explodes."""
        self.model.eval()
        backbone = self.model.backbone
        rng = np.random.default_rng(0)
        schemes = [
            ConnectionScheme.from_mask(rng.random(backbone.num_connections) < 0.5, backbone.blocks_per_stage)
            for _ in range(NUM_SETTLING_SCHEMES)
        ]
        images = self._images()

        def run(scheme: ConnectionScheme) -> None:
            backbone.set_scheme(scheme)
            self.model(images)

        with recalibrated(find_norms(self.model), schemes, run):
            settled = {name: buffer.clone() for name, buffer in self.model.named_buffers()}
        for name, buffer in self.model.named_buffers():
            buffer.copy_(settled[name])

    def _images(self) -> Tensor:
        batch = next(iter(self.dataloader))
        return self.model.data_preprocessor(batch, False)['inputs']


def build_search(case: Case, device: torch.device) -> Search:
    """Build network, images and proposals of a case, the same in every process.

    Args:
        case: what is searched.
        device: where the network runs.
    """
    torch.manual_seed(0)
    backbone = EANBackbone(case.network['backbone'], case.network['attention'], 'stage', 'all')
    model = RandomNetwork(backbone, backbone.sites[-1].channels)
    for parameter in backbone.ean.parameters():
        nn.init.normal_(parameter, std=ATTENTION_STD)  # so that every bit matters
    images = RandomImages(case.num_images, case.image_size, seed=1)
    calibration = RandomImages(case.num_calibration, case.image_size, seed=2)
    search = Search(
        model=model.to(device).eval(),
        dataloader=_load(images, case.batch_size),
        evaluator=Evaluator([LogLikelihood()]),
        calibration=tuple(_load(calibration, case.batch_size)) if case.num_calibration else (),
        steps=_read_steps(case.trace, backbone.blocks_per_stage)[: case.num_steps],
    )
    search.settle()
    return search


def _load(images: RandomImages, batch_size: int) -> DataLoader:
    return DataLoader(images, batch_size, collate_fn=pseudo_collate)


def _read_steps(trace: str | None, blocks_per_stage: tuple[int, ...]) -> tuple[tuple[ConnectionScheme, ...], ...]:
    if trace is not None:
        return Trace.from_text((TRACES / f'{trace}.txt').read_text()).steps
    return (tuple(ConnectionScheme.every(blocks_per_stage)),)
