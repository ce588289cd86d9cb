"""Predictions of several networks for the same images, side by side with the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

IGNORED = np.array([128, 128, 128], dtype=np.uint8)


@dataclass(frozen=True)
class Prediction:
    """What a network says about one image.

    Attributes:
        image: (H, W, RGB) uint8.
        truth: (H, W); class numbers, drawn in grey and ignored where there is no such class, or a density whose sum is a
            count.
        predicted: the same, predicted.
        palette: (classes, RGB) uint8, for class numbers; None for a density.
    """

    image: np.ndarray
    truth: np.ndarray
    predicted: np.ndarray
    palette: np.ndarray | None = None


def draw_predictions(shown: Mapping[str, Sequence[Prediction]]) -> Figure:
    """Draw a row per image: the image, the truth, and the prediction of each network.

    Under a map of classes stands how many pixels are right, of those whose truth is a class; under a density its count.

    Args:
        shown: predictions for the same images by the network's name, at least one.
    """
    first = next(iter(shown.values()))
    num_columns = 2 + len(shown)
    figure = Figure(figsize=(1.9 * num_columns, 2.15 * len(first)), layout='constrained')
    grid = figure.subplots(len(first), num_columns, squeeze=False)
    for axes, title in zip(grid[0], ('image', 'truth', *shown), strict=True):
        axes.set_title(title)
    for row, truth in zip(grid, first, strict=True):
        _show(row[0], truth.image, '')
        _show(row[1], _colour(truth.truth, truth), _describe(truth.truth, truth, is_truth=True))
    for column, predictions in enumerate(shown.values(), 2):
        for row, each in zip(grid, predictions, strict=True):
            _show(row[column], _colour(each.predicted, each), _describe(each.predicted, each, is_truth=False))
    return figure


def _show(axes: Axes, image: np.ndarray, text: str) -> None:
    axes.imshow(image, interpolation='nearest')
    axes.set(xticks=[], yticks=[])
    axes.set_xlabel(text, fontsize=8)


def _colour(values: np.ndarray, prediction: Prediction) -> np.ndarray:
    """A map as (H, W, RGB) uint8; all densities of an image in the same scale."""
    if prediction.palette is None:
        most = max(float(prediction.truth.max()), 1e-9)
        shade = (255 * np.clip(values / most, 0, 1)).astype(np.uint8)
        return np.stack([shade] * 3, axis=-1)
    is_known = values < len(prediction.palette)
    return np.where(is_known[..., None], prediction.palette[np.where(is_known, values, 0)], IGNORED)


def _describe(values: np.ndarray, prediction: Prediction, is_truth: bool) -> str:
    if prediction.palette is None:
        return f'{values.sum():.1f}'
    counts = prediction.truth < len(prediction.palette)
    if is_truth or not counts.any():
        return ''
    return f'{100 * (values == prediction.truth)[counts].mean():.1f} % of pixels'
