"""The settings of REINFORCE and the two presets that name them all."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from ...structures.checks import require_number, require_whole


@dataclass(frozen=True)
class ReinforceSettings:
    """One complete choice of :class:`Reinforce`'s arguments, which are explained there.

    Raises:
        ValueError: if a value is outside its range.
    """

    samples_per_step: int
    num_steps: int
    lr: float
    hidden_width: int
    temperature: float
    entropy_weight: float
    curiosity_weight: float
    curiosity_per_sample: bool
    baseline_decay: float
    baseline_has_bonus: bool
    baseline_updated_first: bool
    replay_weight: float
    replay_start: int
    replay_size: int
    replay_ratio_learns: bool
    clip_epsilon: float

    def __post_init__(self) -> None:
        for name, smallest in _WHOLE.items():
            require_whole(name, getattr(self, name), smallest)
        for name, (least, most, rule) in _NUMBERS.items():
            require_number(name, getattr(self, name), least, most, rule=rule)
        for name in _SWITCHES:
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f'`{name}` must be True or False, but got {getattr(self, name)!r}.')


_TINY = math.ulp(0.0)
_POSITIVE = (_TINY, math.inf, 'a finite number above 0')
_NOT_NEGATIVE = (0.0, math.inf, 'a finite number of at least 0')
_WHOLE = {'hidden_width': 0, 'replay_start': 0, 'replay_size': 1}
_NUMBERS = {
    'lr': _POSITIVE,
    'temperature': _POSITIVE,
    'entropy_weight': _NOT_NEGATIVE,
    'curiosity_weight': _NOT_NEGATIVE,
    'baseline_decay': (0.0, 1.0, 'a number from 0 to 1'),
    'replay_weight': _NOT_NEGATIVE,
    'clip_epsilon': (_TINY, math.nextafter(1.0, 0.0), 'a number between 0 and 1'),
}
_SWITCHES = (
    'curiosity_per_sample',
    'baseline_has_bonus',
    'baseline_updated_first',
    'replay_ratio_learns',
)

_PAPER = ReinforceSettings(
    samples_per_step=3,
    num_steps=300,
    lr=5e-2,
    hidden_width=50,
    temperature=5.0,
    entropy_weight=0.0,
    curiosity_weight=1.0,
    curiosity_per_sample=False,
    baseline_decay=0.95,
    baseline_has_bonus=True,
    baseline_updated_first=True,
    replay_weight=0.1,
    replay_start=10,
    replay_size=30,
    replay_ratio_learns=False,
    clip_epsilon=0.1,
)
_CORRECTED = replace(
    _PAPER,
    hidden_width=0,
    temperature=1.0,
    curiosity_per_sample=True,
    baseline_has_bonus=False,
    baseline_updated_first=False,
    replay_ratio_learns=True,
)
PRESETS = {'paper': _PAPER, 'corrected': _CORRECTED}


def choose_settings(preset: str, given: dict[str, Any]) -> ReinforceSettings:
    """The preset's settings with those given in their place; None stands for not given.

    Raises:
        ValueError: if there is no such preset or a value is outside its range.
    """
    if preset not in list(PRESETS):
        raise ValueError(f'`preset` must be one of {sorted(PRESETS)!r}, but got {preset!r}.')
    return replace(PRESETS[preset], **{k: v for k, v in given.items() if v is not None})
