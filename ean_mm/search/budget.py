"""When a search ends."""

from __future__ import annotations

from dataclasses import dataclass

from ..structures.checks import require_number, require_whole

TINY = 1e-300


@dataclass(frozen=True)
class Spent:
    """What a search has used so far.

    Attributes:
        num_steps: steps done.
        num_schemes: distinct schemes with a score or an estimate, controls included.
        num_images: images that these took, each image counted once per scheme.
        seconds: of all its processes together.
        num_idle: distinct schemes since the best one.
    """

    num_steps: int = 0
    num_schemes: int = 0
    num_images: int = 0
    seconds: float = 0.0
    num_idle: int = 0


@dataclass(frozen=True)
class Budget:
    """What a search may use; whatever is reached first ends it. None sets no limit.

    Attributes:
        num_steps: steps, >= 1; None takes the strategy's wish.
        max_schemes: distinct schemes, the controls none and all included, >= 2.
        max_images: images that pass the network, those for calibration included, >= 1; a remembered score counts as if
            computed, so that the same search ends alike everywhere.
        max_hours: > 0, wall time of all processes of the search together, training not included.
        patience: distinct schemes in a row without a better one, >= 1.

    Raises: ValueError if one is outside its range.

    >>> Budget(max_schemes=30, patience=10).find_end(Spent(num_schemes=22, num_idle=10))
    '10 schemes in a row brought no better one'
    """

    num_steps: int | None = None
    max_schemes: int | None = None
    max_images: int | None = None
    max_hours: float | None = None
    patience: int | None = None

    def __post_init__(self) -> None:
        for name, least in (('num_steps', 1), ('max_schemes', 2), ('max_images', 1), ('patience', 1)):
            if getattr(self, name) is not None:
                require_whole(name, getattr(self, name), least)
        if self.max_hours is not None:
            require_number('max_hours', self.max_hours, TINY, rule='a number above 0')

    def find_end(self, spent: Spent) -> str | None:
        """Why the search is over, in words; None if it is not."""
        if self.num_steps is not None and spent.num_steps >= self.num_steps:
            return f'all {self.num_steps:,} steps are done'
        if self.max_schemes is not None and spent.num_schemes >= self.max_schemes:
            return f'{spent.num_schemes:,} schemes are scored'
        if self.max_images is not None and spent.num_images >= self.max_images:
            return f'{spent.num_images:,} images are used, of {self.max_images:,}'
        if self.max_hours is not None and spent.seconds >= self.max_hours * 3600:
            return f'{spent.seconds / 3600:.2g} hours are over'
        if self.patience is not None and spent.num_idle >= self.patience:
            return f'{spent.num_idle:,} schemes in a row brought no better one'
        return None
