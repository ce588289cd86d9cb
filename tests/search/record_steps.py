"""A search record whose commits can be told from each other."""

from __future__ import annotations

import torch

from ean_mm.search import Evaluation, SearchRecord
from ean_mm.structures import ConnectionScheme

IDENTITY = {'seed': '0', 'backbone': 'ResNet-50'}
LAYOUT = (3, 4, 6, 3)


def evaluation(number: int) -> Evaluation:
    scheme = ConnectionScheme.from_codes((0, 0, number, 0), LAYOUT)
    return Evaluation(scheme, 'proposal', number, 70.0 + number, 70.5 + number)


def content(step: int) -> dict:
    return {'next_step': step, 'weights': torch.full((3,), float(step))}


def commit_steps(directory, *steps: int) -> None:
    with SearchRecord(directory, IDENTITY) as record:
        record.load()
        for step in steps:
            record.commit(content(step), [evaluation(step)] if step else [])


def load_step(directory) -> int:
    """The step of the last commit, after checking that all of it belongs together."""
    found, evaluations = SearchRecord(directory, IDENTITY, is_writer=False).load()
    step = found['next_step']
    assert torch.equal(found['weights'], torch.full((3,), float(step)))
    assert evaluations == [evaluation(number) for number in range(1, step + 1)]
    return step
