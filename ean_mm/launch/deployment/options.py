"""What a deployment may do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...structures.checks import require_one_of
from .export import FORMATS


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
