"""A search that stops anywhere goes on as if it had not."""

from __future__ import annotations

import pytest
from toy_search import LAYOUT, STEPS, Listed, Scores, files

from ean_mm.search import Budget, Reinforce, Reward, SearchLoop, SearchRecord, SearchSpace, one_by_one

# -- stopping and going on -------------------------------------------------------------------------


def test_a_finished_search_scores_nothing_again(run, tmp_path):
    first = run(Listed(*STEPS))
    before = {path: path.read_bytes() for path in (tmp_path / 'run').iterdir()}
    scores = Scores()
    assert run(Listed(*STEPS), scores) == first
    assert scores.calls == []
    assert {path: path.read_bytes() for path in (tmp_path / 'run').iterdir()} == before


def test_a_ticket_that_was_taken_away_comes_back(run, tmp_path):
    run(Listed(*STEPS))
    reference = files(tmp_path / 'run')
    (tmp_path / 'run' / 'ticket.json').unlink()
    run(Listed(*STEPS))
    assert files(tmp_path / 'run') == reference


def test_the_ticket_of_a_finished_search_may_be_edited(run, tmp_path):
    run(Listed(*STEPS))
    path = tmp_path / 'run' / 'ticket.json'
    edited = path.read_text().replace('"notes": ""', '"notes": "mine"')
    path.write_text(edited)
    run(Listed(*STEPS))
    assert path.read_text() == edited


@pytest.mark.parametrize('kind', [KeyboardInterrupt, SystemExit, RuntimeError, MemoryError])
@pytest.mark.parametrize('call', range(1, 11))
def test_stopped_anywhere_by_an_exception_it_goes_on(run, tmp_path, call, kind):
    reference_scores = Scores()
    reference = run(Listed(*STEPS), reference_scores, folder='reference')
    assert len(reference_scores.calls) == 10
    with pytest.raises(kind, match='stop here'):
        run(Listed(*STEPS), Scores({call: kind('stop here')}))
    assert run(Listed(*STEPS)) == reference
    assert files(tmp_path / 'run') == files(tmp_path / 'reference')


def test_the_same_loop_object_goes_on_as_well(tmp_path, make_ticket):
    def make(folder, scores):
        record = SearchRecord(tmp_path / folder, {'seed': '0'})
        strategy = Reinforce(4, seed=3, samples_per_step=2)
        return record, SearchLoop(
            strategy,
            one_by_one(scores),
            Reward(),
            record,
            SearchSpace(LAYOUT),
            make_ticket,
            budget=Budget(num_steps=12),
        )

    record, loop = make('reference', Scores())
    with record:
        reference = loop.run()
    record, loop = make('run', Scores({n: KeyboardInterrupt('stop') for n in range(1, 9)}))
    with record:
        for _ in range(8):
            with pytest.raises(KeyboardInterrupt):
                loop.run()
        assert loop.run() == reference
    assert files(tmp_path / 'run') == files(tmp_path / 'reference')


def test_reinforce_stopped_at_every_step_learns_the_same(run, tmp_path):
    def reinforce():
        return Reinforce(4, seed=1, preset='paper')

    reference = run(reinforce(), folder='reference', num_steps=15)

    def stop(report):
        raise KeyboardInterrupt

    for _ in range(20):
        try:
            run(reinforce(), num_steps=15, on_step=stop)
        except KeyboardInterrupt:
            continue
        break
    assert run(reinforce(), num_steps=15) == reference
    assert files(tmp_path / 'run') == files(tmp_path / 'reference')


def test_a_longer_search_continues_a_shorter_one(run, tmp_path):
    run(Listed(*STEPS), num_steps=2)
    scores = Scores()
    longer = run(Listed(*STEPS), scores, num_steps=5)
    assert longer == run(Listed(*STEPS), folder='reference')
    assert files(tmp_path / 'run') == files(tmp_path / 'reference')


def test_result_is_known_before_the_end(tmp_path, make_ticket):
    with SearchRecord(tmp_path, {'seed': '0'}) as record:
        loop = SearchLoop(Listed(*STEPS), one_by_one(Scores()), Reward(), record, SearchSpace(LAYOUT), make_ticket)
        loop.load()
        empty = loop.result()
        assert (empty.best, empty.none, empty.all, empty.top) == (None, None, None, ())
        assert not empty.is_finished
        loop.score_many = one_by_one(Scores({6: KeyboardInterrupt('stop')}))
        with pytest.raises(KeyboardInterrupt):
            loop.run()
        loop.load()
        result = loop.result(num_top=2)
        assert (result.num_steps, result.num_evaluations, len(result.top)) == (2, 5, 2)
        assert not result.is_finished
        assert [str(e.scheme) for e in loop.evaluations] == ['00 00', '11 11', '10 00', '00 01', '10 10']


def test_ranks_that_read_follow_and_write_nothing(tmp_path, make_ticket):
    scores = Scores()

    def make(is_writer):
        record = SearchRecord(tmp_path / 'run', {'seed': '0'}, is_writer=is_writer)
        score_many = one_by_one(scores)
        return record, SearchLoop(
            Listed(*STEPS), score_many, Reward(), record, SearchSpace(LAYOUT), make_ticket, budget=Budget(num_steps=3)
        )

    reader_record, reader = make(is_writer=False)
    with reader_record:
        reader.load()
        assert not (tmp_path / 'run').exists()
        alone = reader.run()
    assert not (tmp_path / 'run').exists()
    writer_record, writer = make(is_writer=True)
    with writer_record:
        assert writer.run() == alone
    scores.calls.clear()
    reader_record, reader = make(is_writer=False)
    assert reader.run() == alone
    assert scores.calls == []
