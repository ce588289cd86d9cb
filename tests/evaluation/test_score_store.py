"""Scores kept in a file: to the last digit, for their context only, whatever happens to the file."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ean_mm.evaluation import score_store
from ean_mm.evaluation.score_store import ScoreStore, read_bytes
from ean_mm.structures import ConnectionScheme, durable

CONTEXT = {'supernet': 'a' * 64, 'images': 'b' * 64, 'calibration': 'none', 'numerics': 'exact', 'metric': 'top1'}
ODD_METRICS = [1 / 3, 1e-17, 76.23199462890625, -0.0, 5e-324, 1e22, 71.0, -3.5]


def scheme(number: int) -> ConnectionScheme:
    bits = f'{number:08b}'
    return ConnectionScheme.from_string(f'{bits[:3]} {bits[3:]}')


def reopen(path: Path, context: dict[str, str] = CONTEXT, is_writer: bool = True) -> ScoreStore:
    store = ScoreStore(path, context, is_writer)
    store.load(read_bytes(path))
    return store


def known(store: ScoreStore) -> dict[int, float]:
    found = {number: store.find(scheme(number)) for number in range(256)}
    return {number: metric for number, metric in found.items() if metric is not None}


@pytest.fixture
def logged(monkeypatch):
    """What the store logs: (level, text)."""
    texts: list[tuple[int, str]] = []
    monkeypatch.setattr(score_store, 'print_log', lambda text, logger, level: texts.append((level, text)))
    return texts


@pytest.fixture
def path(tmp_path):
    """A file with the scores 10.0 to 12.0 of the schemes 0 to 2, in lines 2 to 4."""
    store = ScoreStore(tmp_path / 'scores.jsonl', CONTEXT)
    for number in range(3):
        store.add(scheme(number), 10.0 + number)
    return store.path


# -- what is added is found ------------------------------------------------------------------------


def test_metrics_come_back_to_the_last_digit(tmp_path, logged):
    path = tmp_path / 'a new folder' / 'scöres.jsonl'
    store = reopen(path)
    for number, metric in enumerate(ODD_METRICS):
        store.add(scheme(number), metric)
    for found in (known(store), known(reopen(path))):
        assert [metric.hex() for metric in found.values()] == [metric.hex() for metric in ODD_METRICS]
    assert len(reopen(path)) == len(ODD_METRICS)
    assert not logged


def test_an_empty_store_knows_nothing(tmp_path):
    store = reopen(tmp_path / 'none.jsonl')
    assert (len(store), store.num_foreign, store.find(scheme(0))) == (0, 0, None)
    assert list(tmp_path.iterdir()) == []


def test_the_file_can_be_read_by_a_person(path):
    first, *others = [json.loads(line) for line in path.read_text().splitlines()]
    assert first['fields'] == CONTEXT
    assert [line['scheme'] for line in others] == ['000 00000', '000 00001', '000 00010']
    assert [line['metric'] for line in others] == [10.0, 11.0, 12.0]
    assert all(list(line) == ['context', 'scheme', 'metric', 'check'] for line in others)
    assert {line['context'] for line in others} == {first['context']}


def test_a_later_run_appends_and_describes_its_context_once(path):
    before = path.read_bytes()
    reopen(path).add(scheme(3), 13.0)
    after = path.read_bytes()
    assert after.startswith(before)
    assert after.count(b'\n') == before.count(b'\n') + 1
    assert known(reopen(path)) == {0: 10.0, 1: 11.0, 2: 12.0, 3: 13.0}


def test_the_order_of_the_context_does_not_matter(path):
    assert len(reopen(path, dict(reversed(CONTEXT.items())))) == 3


@pytest.mark.parametrize('metric', [float('nan'), float('inf'), -float('inf')])
def test_scores_that_are_not_finite_are_not_stored(path, logged, metric):
    before = path.read_bytes()
    store = reopen(path)
    for number in (0, 9):
        store.add(scheme(number), metric)
    assert known(store) == {0: 10.0, 1: 11.0, 2: 12.0}
    assert path.read_bytes() == before
    assert not logged


def test_a_known_scheme_is_not_written_again(path, logged):
    before = path.read_bytes()
    store = reopen(path)
    store.add(scheme(1), 11.0)
    assert not logged
    store.add(scheme(1), 11.5)
    assert store.find(scheme(1)) == 11.0
    assert path.read_bytes() == before
    assert logged == [
        (logging.WARNING, f"{path}: scheme '000 00001' has the score 11.0, which stays, but got 11.5 now.")
    ]


def test_loading_forgets_what_was_known(path):
    store = reopen(path)
    store.load(b'')
    assert len(store) == 0


# -- ranks -----------------------------------------------------------------------------------------


def test_a_rank_that_reads_touches_nothing(path):
    before = {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in path.parent.iterdir()}
    store = ScoreStore(path, CONTEXT, is_writer=False)
    store.load(path.read_bytes())
    store.add(scheme(7), 17.0)
    ScoreStore(path.parent / 'none' / 'x.jsonl', CONTEXT, is_writer=False).add(scheme(7), 17.0)
    assert known(store) == {0: 10.0, 1: 11.0, 2: 12.0, 7: 17.0}
    assert {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in path.parent.iterdir()} == before


# -- other contexts --------------------------------------------------------------------------------


def test_scores_of_another_context_are_ignored_and_named_once(path, logged):
    store = reopen(path, {**CONTEXT, 'supernet': 'c' * 64})
    assert (len(store), store.num_foreign) == (0, 3)
    assert logged == [(logging.INFO, f'{path}: 3 scores of another context not used; what differs: supernet.')]
    store.add(scheme(0), 50.0)
    assert known(reopen(path)) == {0: 10.0, 1: 11.0, 2: 12.0}
    assert known(reopen(path, {**CONTEXT, 'supernet': 'c' * 64})) == {0: 50.0}
    assert len(read_bytes(path).splitlines()) == 6
    logged.clear()
    assert reopen(path, {'metric': 'mIoU'}).num_foreign == 4
    assert 'what differs: calibration, images, metric, numerics, supernet.' in logged[0][1]
    assert len(logged) == 1


def test_a_context_that_is_not_legible(path, logged):
    data = path.read_bytes()
    store = ScoreStore(path, {'metric': 'mIoU'})
    store.load(data[data.index(b'\n') + 1 : -1].split(b'\n')[0])
    assert logged == [(logging.INFO, f'{path}: 1 score of another context not used; which one is not legible.')]


@pytest.mark.parametrize('context', [{}, {'seed': 0}, {0: 'seed'}, {'seed': None}])
def test_a_context_holds_strings(tmp_path, context):
    with pytest.raises(ValueError, match=r'`context` must hold strings, at least one, but got \{'):
        ScoreStore(tmp_path / 'x', context)


@pytest.mark.parametrize('text', ['\ud800', 'x' * 70_000])
def test_a_context_fits_a_line(tmp_path, text):
    with pytest.raises(ValueError, match=r'`context` must fit a line of strict JSON, but got .*; .* must '):
        ScoreStore(tmp_path / 'x', {'metric': text})


# -- damage ----------------------------------------------------------------------------------------


def test_no_changed_byte_changes_a_score(path, logged):
    data = path.read_bytes()
    store = ScoreStore(path, CONTEXT)
    for index in range(len(data)):
        changed = bytearray(data)
        changed[index] ^= 1 << index % 8
        store.load(bytes(changed))
        found = known(store) if index % 20 == 0 else store._scores
        assert len(found) >= 1
        assert set(found.values()) <= {10.0, 11.0, 12.0}
        assert store.num_foreign == 0
        last = index == len(data) - 1  # its line break alone: the line may be whole or not
        assert last or len(logged) == index + 1
    assert {level for level, _ in logged} == {logging.WARNING}


def test_a_tail_cut_anywhere_is_passed_over_and_does_not_reach_the_next_line(path, logged, monkeypatch):
    monkeypatch.setattr(os, 'fsync', lambda _: None)
    data = path.read_bytes()
    start = data[:-1].rindex(b'\n') + 1
    for end in range(start, len(data) + 1):
        logged.clear()
        path.write_bytes(data[:end])
        expected = {0: 10.0, 1: 11.0} | ({2: 12.0} if end >= len(data) - 1 else {})
        store = reopen(path)
        assert known(store) == expected
        is_cut = start < end < len(data) - 1
        assert len(logged) == is_cut
        store.add(scheme(9), 19.0)
        assert known(reopen(path)) == {**expected, 9: 19.0}


def test_lines_of_other_kinds_are_counted_in_one_warning(path, logged):
    digest = json.loads(path.read_text().splitlines()[1])['context']
    kinds = [
        {'context': digest, 'scheme': '000 00011', 'metric': 13},
        {'context': digest, 'scheme': '000 00011', 'metric': '13.0'},
        {'context': digest, 'scheme': '000 00011', 'metric': True},
        {'context': digest, 'scheme': 3, 'metric': 13.0},
        {'context': None, 'scheme': '000 00011', 'metric': 13.0},
        {'context': digest, 'scheme': '000 00011', 'metric': 13.0, 'more': 1},
        {'context': digest, 'fields': 'text'},
        {},
    ]
    sealed = [score_store._to_line(kind) for kind in kinds]
    bare = b'{"context": "%s", "scheme": "000 00011", "metric": 13.0}\n' % digest.encode()
    nan = sealed[0].replace(b'"metric": 13', b'"metric": NaN')
    lines = [*sealed, bare, nan, b'\n', b'not json\n', b'[1]\n', b'\xff\xfe\n', b'{"a": ' * 10_000 + b'\n']
    store = ScoreStore(path, CONTEXT)
    store.load(b''.join([path.read_bytes(), *lines]))
    assert known(store) == {0: 10.0, 1: 11.0, 2: 12.0}
    numbers = ', '.join(map(str, range(5, 20)))
    assert logged == [
        (logging.WARNING, f'{path}: 15 lines ({numbers}) damaged and passed over; all others are used.'),
    ]


def test_a_warning_names_twenty_lines_at_most(path, logged):
    ScoreStore(path, CONTEXT).load(b'x\n' * 1000)
    assert '1000 lines (1, 2, ' in logged[0][1]
    assert '19, 20, ...) damaged' in logged[0][1]


def test_the_first_of_two_scores_counts(path, logged, tmp_path):
    other = ScoreStore(tmp_path / 'other.jsonl', CONTEXT)
    other.add(scheme(1), 99.0)
    other.add(scheme(2), 12.0)
    store = ScoreStore(path, CONTEXT)
    store.load(path.read_bytes() + read_bytes(other.path))
    assert known(store) == {0: 10.0, 1: 11.0, 2: 12.0}
    text = f'{path}: 1 line (6) at odds with an earlier score of the same scheme, which is used; '
    assert logged == [(logging.WARNING, text + 'the evaluator may not be deterministic.')]


# -- several writers -------------------------------------------------------------------------------


def test_writers_at_the_same_time_lose_nothing(tmp_path, logged):
    path = tmp_path / 'scores.jsonl'
    stores = [ScoreStore(path, {**CONTEXT, 'images': str(index // 2)}) for index in range(4)]

    def write(store: ScoreStore, first: int) -> None:
        for number in range(first, first + 20):
            store.add(scheme(number), float(number))

    threads = [threading.Thread(target=write, args=(store, 20 * (index % 2))) for index, store in enumerate(stores)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index in (0, 1):
        store = reopen(path, {**CONTEXT, 'images': str(index)})
        assert known(store) == {number: float(number) for number in range(40)}
        assert store.num_foreign == 40
    assert len(read_bytes(path).splitlines()) == 82  # each context is described once
    assert {level for level, _ in logged} == {logging.INFO}


WRITER = """
import itertools, sys
from ean_mm.evaluation.score_store import ScoreStore
from ean_mm.structures import ConnectionScheme
store = ScoreStore(sys.argv[1], {'metric': 'top1'})
for number in itertools.count():
    store.add(ConnectionScheme.from_string(sys.argv[2] + f'{number:016b}'), float(number))
"""


@pytest.mark.slow
def test_killed_writers_leave_a_file_that_others_continue(tmp_path, logged):
    path = tmp_path / 'scores.jsonl'
    writers = [subprocess.Popen([sys.executable, '-c', WRITER, str(path), bit]) for bit in '01']
    try:
        for wanted in (400, 800):
            while len(read_bytes(path).splitlines()) < wanted:
                assert all(writer.poll() is None for writer in writers)
                time.sleep(0.02)
            killed = writers.pop(0)
            killed.kill()
            killed.wait()
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
    store = ScoreStore(path, {'metric': 'top1'})
    store.add(scheme(0), 1.0)
    store.load(read_bytes(path))
    assert len(store) > 750
    assert store.find(scheme(0)) == 1.0
    assert all(int(text[1:].replace(' ', ''), 2) == metric for text, metric in store._scores.items() if ' ' not in text)
    damaged = [text for _, text in logged]
    assert len(damaged) <= 1
    assert all('1 line (' in text or '2 lines (' in text for text in damaged)


# -- files that will not do ------------------------------------------------------------------------


def test_a_line_is_flushed_before_add_returns(path):
    reached: list[str] = []
    store = reopen(path)
    durable.observe_points(reached.append)
    try:
        store.add(scheme(3), 13.0)
    finally:
        durable.observe_points(None)
    assert reached == ['scores.jsonl: written', 'scores.jsonl: synced']


def test_a_full_disk_ends_the_writing_but_not_the_search(path, logged, monkeypatch):
    real = os.write
    calls: list[int] = []

    def write(descriptor: int, data: bytes) -> int:
        calls.append(len(data))
        if len(calls) > 1:
            raise OSError(28, 'No space left on device')
        return real(descriptor, data[:20])

    store = reopen(path)
    monkeypatch.setattr(os, 'write', write)
    store.add(scheme(3), 13.0)
    store.add(scheme(4), 14.0)
    monkeypatch.undo()
    assert len(calls) == 2
    assert known(store) == {0: 10.0, 1: 11.0, 2: 12.0, 3: 13.0, 4: 14.0}
    monkeypatch.setattr(score_store, 'print_log', lambda text, logger, level: logged.append((level, text)))
    reopen(path).add(scheme(5), 15.0)
    assert known(reopen(path)) == {0: 10.0, 1: 11.0, 2: 12.0, 5: 15.0}
    cause = '[Errno 28] No space left on device'
    ended = f'{path} cannot be written ({cause}); further scores are remembered in this run only.'
    damaged = f'{path}: 1 line (5) damaged and passed over; all others are used.'
    assert logged == [(logging.WARNING, text) for text in (ended, damaged, damaged)]


def test_a_lock_that_nobody_gives_back_ends_the_writing(path, logged, monkeypatch):
    monkeypatch.setattr(score_store, 'SECONDS_TO_WAIT', 0.1)
    before = path.read_bytes()
    holder, store = ScoreStore(path, CONTEXT), reopen(path)
    with holder._lock:
        store.add(scheme(3), 13.0)
    assert path.read_bytes() == before
    assert [text for _, text in logged if 'scores.jsonl cannot be written (' in text]


def test_a_link_is_not_written_through(path, tmp_path, logged):
    target = tmp_path / 'target'
    target.write_text('precious')
    link = tmp_path / 'link.jsonl'
    link.symlink_to(target)
    ScoreStore(link, CONTEXT).add(scheme(0), 1.0)
    assert target.read_text() == 'precious'
    assert 'link.jsonl cannot be written (' in logged[0][1]


def test_a_path_that_is_no_file(tmp_path, logged):
    (tmp_path / 'file').write_text('')
    os.mkfifo(tmp_path / 'pipe')
    match = r'`path` must be a file of scores that can be read, or none yet, but got .*; choose another one'
    for path in (tmp_path, tmp_path / 'file' / 'below', tmp_path / 'pipe'):
        with pytest.raises(ValueError, match=match):
            read_bytes(path)
        ScoreStore(path, CONTEXT).add(scheme(0), 1.0)
        assert f'{path} cannot be written (' in logged[-1][1]
    assert len(logged) == 3
