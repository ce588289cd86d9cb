"""A strategy that proposes what a test lists, and a metric with known answers."""

from __future__ import annotations

import json

import numpy as np

from ean_mm.search import Strategy
from ean_mm.structures import ConnectionScheme

LAYOUT = (2, 2)
WEIGHTS = np.array([4.0, -1.0, 2.0, -3.0])


class Listed(Strategy):
    """Proposes given numbers in binary, and notes what it observes."""

    def __init__(self, *steps: tuple[int, ...]):
        super().__init__(4, num_steps=len(steps))
        self.steps = steps
        self.observed: list[tuple[int, list[str], list[float]]] = []

    def propose(self, step: int) -> np.ndarray:
        return np.array([[bit == '1' for bit in f'{number:04b}'] for number in self.steps[step]])

    def observe(self, step: int, masks: np.ndarray, rewards: np.ndarray) -> None:
        super().observe(step, masks, rewards)
        texts = [''.join('01'[int(bit)] for bit in mask) for mask in masks]
        self.observed.append((step, texts, rewards.tolist()))

    def _learn(self, step: int, masks: np.ndarray, rewards: np.ndarray) -> None:
        pass

    def state_dict(self) -> dict:
        return {'num_observed': len(self.observed)}

    def summary(self) -> dict[str, float]:
        return {'num_observed': float(len(self.observed))}


class Scores:
    """A linear metric that counts its calls; ``failing`` maps the number of a call to its answer."""

    def __init__(self, failing: dict | None = None):
        self.calls: list[str] = []
        self.failing = failing or {}

    def __call__(self, scheme: ConnectionScheme) -> float:
        self.calls.append(str(scheme))
        answer = self.failing.get(len(self.calls), self.failing.get('always'))
        if isinstance(answer, BaseException):
            raise answer
        return 70.0 + float(scheme.mask @ WEIGHTS) if answer is None else answer


def scheme_of(number: int) -> ConnectionScheme:
    return ConnectionScheme.from_codes((number >> 2, number & 3), LAYOUT)


def lines(directory) -> list[dict]:
    def refuse(constant):
        raise AssertionError(constant)

    text = (directory / 'search.jsonl').read_text()
    return [json.loads(line, parse_constant=refuse) for line in text.splitlines()]


STEPS = ((8, 1), (8, 10), (3, 5), (12, 10), (14, 6))


def files(directory) -> tuple[bytes, bytes]:
    return (directory / 'search.jsonl').read_bytes(), (directory / 'ticket.json').read_bytes()
