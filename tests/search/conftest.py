"""Toy searches, in this process and in others."""

from __future__ import annotations

import pytest
import record_steps
import search_process
import toy_search

from ean_mm.search import Budget, Evaluation, Reward, SearchLoop, SearchRecord, SearchSpace, one_by_one
from ean_mm.structures import BackboneFingerprint, Ticket

SPACE = ('fixed', 'min_connected', 'limits')
BUDGET = ('num_steps', 'max_schemes', 'max_images', 'max_hours', 'patience')


@pytest.fixture(scope='session')
def server(tmp_path_factory):
    """A process that runs searches in processes of their own."""
    server = search_process.SearchServer(tmp_path_factory.mktemp('stderr'))
    yield server
    server.close()


@pytest.fixture
def warnings_logged(monkeypatch):
    """What the search logs as warnings."""
    texts: list[str] = []
    monkeypatch.setattr('ean_mm.search.scoring.print_log', lambda text, **_: texts.append(text))
    return texts


@pytest.fixture
def committed(tmp_path):
    """A folder with four commits, of steps 0 to 3."""
    record_steps.commit_steps(tmp_path, 0, 1, 2, 3)
    return tmp_path


@pytest.fixture
def make_ticket():
    def make(evaluation: Evaluation) -> Ticket:
        backbone = BackboneFingerprint(type='Toy', depth=None, blocks_per_stage=toy_search.LAYOUT, channels=(8, 16))
        return Ticket(
            origin='searched',
            scheme=evaluation.scheme,
            backbone=backbone,
            attention={'type': 'ean_mm.SE'},
            sharing='stage',
            metrics={'accuracy/top1': evaluation.metric},
        )

    return make


@pytest.fixture
def run(tmp_path, make_ticket, warnings_logged):
    """Run a search in ``tmp_path`` (or a folder in it) and return its result."""

    def run(strategy, score=None, folder='run', identity=None, reward=None, score_many=None, **arguments):
        score_many = score_many or one_by_one(score or toy_search.Scores())
        space = SearchSpace(toy_search.LAYOUT, **{name: arguments.pop(name) for name in SPACE if name in arguments})
        budget = Budget(**{name: arguments.pop(name) for name in BUDGET if name in arguments})
        given = dict(reward=reward or Reward(), space=space, budget=budget, make_ticket=make_ticket)
        with SearchRecord(tmp_path / folder, identity or {'seed': '0'}) as record:
            loop = SearchLoop(strategy, score_many, record=record, **given, **arguments)
            return loop.run()

    return run
