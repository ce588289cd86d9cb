"""How far counts are off."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from mmengine.evaluator import BaseMetric

from ..registry import METRICS


@METRICS.register_module()
class CountMetric(BaseMetric):
    """Mean absolute and root mean squared error of the count per image, in people.

    ``mae = mean(|pred - gt|)``, ``rmse = sqrt(mean((pred - gt)^2))`` (papers on ShanghaiTech call the latter MSE), and
    ``neg_mae = -mae``, which is what a search maximises: with ``reward=dict(metric='count/neg_mae', sparsity_weight=w)`` the
    ticket may count w people worse than full attention for connecting nothing. Sums are exactly rounded, so neither the
    order of the images nor the number of ranks changes a bit.

    Args:
        collect_device: 'cpu' or 'gpu', where ranks exchange their results.
        prefix: of the names; None stands for 'count'.
        collect_dir: folder for the exchange on 'cpu'.
    """

    default_prefix = 'count'

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Note the error of each image."""
        self.results.extend(float(sample['pred_count']) - float(sample['gt_count']) for sample in data_samples)

    def compute_metrics(self, results: list[float]) -> dict[str, float]:
        """Return mae, rmse and neg_mae."""
        mae = math.fsum(map(abs, results)) / len(results)
        rmse = math.sqrt(math.fsum(error * error for error in results) / len(results))
        return dict(mae=mae, rmse=rmse, neg_mae=-mae)
