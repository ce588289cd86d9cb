"""A small model, images and evaluator to score schemes with."""

from __future__ import annotations

import torch
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.model import BaseDataPreprocessor, BaseModel
from torch import nn
from torch.utils.data import DataLoader

from ean_mm.models import EANBackbone

SE = dict(type='ean_mm.SE', reduction=4)


class Scored(BaseModel):
    """A classifier with batch norm after its backbone."""

    def __init__(self, backbone: dict, attention: dict, with_norm: bool = True):
        super().__init__(data_preprocessor=BaseDataPreprocessor())
        self.backbone = EANBackbone(backbone, attention)
        width = self.backbone.sites[-1].channels
        self.norm = nn.BatchNorm2d(width) if with_norm else nn.Identity()
        self.head = nn.Linear(width, 5)

    def forward(self, inputs, labels=None, mode='tensor'):
        scores = self.head(self.norm(self.backbone(inputs)[-1]).mean((2, 3)))
        return scores if mode == 'tensor' else list(scores)


class Margin(BaseMetric):
    """A metric that shows the last bit: the sum of all scores in float64, and a share of right answers."""

    def process(self, data_batch, data_samples):
        for scores, label in zip(data_samples, data_batch['labels'], strict=True):
            self.results.append((scores.double().sum().item(), float(scores.argmax() == label)))

    def compute_metrics(self, results):
        return {'sum': sum(r[0] for r in results), 'right': 100 * sum(r[1] for r in results) / len(results)}


def batches(num: int, size: int = 16, batch_size: int = 4) -> list[dict]:
    """Random images with labels."""
    generator = torch.Generator().manual_seed(num)
    return [
        dict(
            inputs=torch.randn(batch_size, 3, size, size, generator=generator),
            labels=torch.randint(0, 5, (batch_size,), generator=generator),
        )
        for _ in range(num)
    ]


def build(backbone: dict, attention: dict = SE, **kwargs) -> Scored:
    """A model whose weights and statistics are not the initial ones."""
    torch.manual_seed(0)
    model = Scored(backbone, attention, **kwargs)
    for parameter in model.backbone.ean.parameters():
        nn.init.normal_(parameter, std=0.3)
    for batch in batches(3):
        model(batch['inputs'])
    return model.eval()


def parts(model: Scored, num_calibration: int = 3) -> dict:
    """What a scorer is built of."""
    loader = DataLoader([{k: v[i] for k, v in b.items()} for b in batches(5) for i in range(4)], batch_size=4)
    return dict(
        model=model,
        backbone=model.backbone,
        dataloader=loader,
        evaluator=Evaluator(Margin()),
        metric='sum',
        calibration=batches(num_calibration + 1)[1:] if num_calibration else (),
    )
