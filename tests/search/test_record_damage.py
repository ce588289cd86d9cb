"""Damaged, foreign and malicious files of a search are detected, and not run."""

from __future__ import annotations

import io
import os
import pickle
import random

import pytest
import torch
from record_steps import IDENTITY, commit_steps, content, evaluation, load_step

from ean_mm.search import Evaluation, SearchRecord, SearchStateError
from ean_mm.search.state_file import SavedState, dump_state, parse_state
from ean_mm.structures import DamagedFileError, seal

# -- damage ----------------------------------------------------------------------------------------


def damaged_versions(data: bytes) -> list[bytes]:
    """Truncations at every 1/64 of the length and one short of it, and 64 single-bit flips."""
    sizes = [len(data) * part // 64 for part in range(64)] + [len(data) - 1]
    generator = random.Random(0)
    flipped = []
    for _ in range(64):
        copy = bytearray(data)
        copy[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
        flipped.append(bytes(copy))
    return [data[:size] for size in sizes] + flipped


def test_damage_of_the_state_is_detected_and_the_one_before_used(committed, warnings_logged):
    state = committed / 'state.pt'
    for data in damaged_versions(state.read_bytes()):
        state.write_bytes(data)
        warnings_logged.clear()
        assert load_step(committed) == 2
        (text,) = warnings_logged
        assert 'state.pt cannot be used: `data` must' in text
        assert 'Continuing from state.prev.pt, a step earlier.' in text


def test_damage_of_the_log_is_detected(committed, warnings_logged):
    log = committed / 'search.jsonl'
    data = log.read_bytes()
    start_of_last = data[:-1].rindex(b'\n') + 1
    for bit in range(8 * start_of_last, 8 * len(data), 5):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        log.write_bytes(bytes(flipped))
        assert load_step(committed) == 2
    log.write_bytes(data[:-1])
    assert load_step(committed) == 2
    log.write_bytes(data[:10] + b'x' + data[11:])
    with pytest.raises(SearchStateError, match=r'state.pt \(`search.jsonl` must start with the'):
        load_step(committed)
    log.unlink()
    with pytest.raises(SearchStateError, match=r'names, but got 0 others'):
        load_step(committed)


def test_a_search_goes_on_after_damage_and_keeps_the_damaged_file(committed, warnings_logged):
    reference = (committed / 'search.jsonl').read_bytes() + evaluation(4).to_line()
    (committed / 'state.pt').write_bytes(b'damaged')
    commit_steps(committed, 3, 4)
    assert load_step(committed) == 4
    assert (committed / 'search.jsonl').read_bytes() == reference
    assert (committed / 'state.pt.damaged-1').read_bytes() == b'damaged'
    (committed / 'state.pt').write_bytes(b'again')
    commit_steps(committed, 4)
    assert (committed / 'state.pt.damaged-2').read_bytes() == b'again'
    assert load_step(committed) == 4


def test_without_a_good_state_nothing_is_begun_and_nothing_overwritten(committed):
    (committed / 'state.pt').write_bytes(b'')
    (committed / 'state.prev.pt').write_bytes(b'half a st')
    before = {path.name: path.read_bytes() for path in committed.iterdir()}
    with SearchRecord(committed, IDENTITY) as record, pytest.raises(SearchStateError) as info:
        record.load()
    message = str(info.value)
    assert 'state.pt (`data` must' in message
    assert 'state.prev.pt (`data` must' in message
    assert 'put a good copy back, choose another work_dir, or pass --restart' in message
    assert {path.name: path.read_bytes() for path in committed.iterdir()} == before


def test_damage_of_the_very_first_state_is_an_error(tmp_path):
    commit_steps(tmp_path, 0)
    (tmp_path / 'state.pt').write_bytes(b'')
    with pytest.raises(SearchStateError, match=r'must hold an undamaged state, .* with state.pt \('):
        load_step(tmp_path)


def test_a_missing_state_is_replaced_by_the_one_before(committed, warnings_logged):
    (committed / 'state.pt').unlink()
    assert load_step(committed) == 2
    assert 'state.pt is missing. Continuing from state.prev.pt' in warnings_logged[0]


@pytest.mark.parametrize('name', ['search.jsonl', 'ticket.json'])
def test_results_without_a_state_are_not_overwritten(tmp_path, name):
    (tmp_path / name).write_text('{"step": 0}\n')
    with pytest.raises(SearchStateError, match=rf'must hold state.pt beside {name}, .* --restart'):
        SearchRecord(tmp_path, IDENTITY, is_writer=False).load()
    assert (tmp_path / name).read_text() == '{"step": 0}\n'


def test_an_empty_log_is_no_search(tmp_path):
    (tmp_path / 'search.jsonl').write_bytes(b'')
    assert SearchRecord(tmp_path, IDENTITY, is_writer=False).load() is None


def test_orphans_of_killed_writers_are_removed(committed):
    orphans = [committed / f'.{name}.{"a" * 16}.tmp' for name in ('state.pt', 'ticket.json')]
    foreign = committed / '.notes.tmp'
    for path in (*orphans, foreign):
        path.write_bytes(b'half')
    with SearchRecord(committed, IDENTITY, is_writer=False):
        assert all(path.exists() for path in orphans)
    with SearchRecord(committed, IDENTITY):
        assert not any(path.exists() for path in orphans)
    assert foreign.exists()


# -- foreign and malicious files -------------------------------------------------------------------


class Malicious:
    """Touches a file when it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f'touch {self.marker}',)


def malicious_states(marker) -> dict[str, bytes]:
    buffer = io.BytesIO()
    torch.save({'format': 'ean_mm.search_state', 'content': Malicious(marker)}, buffer)
    plain = pickle.dumps(Malicious(marker), protocol=2)
    return {
        'torch.save, sealed': seal(buffer.getvalue()),
        'torch.save': buffer.getvalue(),
        'pickle, sealed': seal(plain),
        'pickle': plain,
    }


@pytest.mark.parametrize('kind', ['torch.save, sealed', 'torch.save', 'pickle, sealed', 'pickle'])
def test_a_malicious_state_is_refused_and_not_run(committed, warnings_logged, kind):
    marker = committed / 'marker'
    data = malicious_states(marker)[kind]
    (committed / 'state.pt').write_bytes(data)
    assert load_step(committed) == 2
    assert 'state.pt cannot be used' in warnings_logged[0]
    (committed / 'state.prev.pt').write_bytes(data)
    with pytest.raises(SearchStateError, match='must hold an undamaged state'):
        load_step(committed)
    assert not marker.exists()


def test_the_malicious_state_works_where_it_is_trusted(tmp_path):
    """The test above has teeth: the same bytes do run code when read without care."""
    marker = tmp_path / 'marker'
    pickle.loads(malicious_states(marker)['pickle'])
    assert marker.exists()


@pytest.mark.parametrize(
    ('fields', 'match'),
    [
        ([1, 2], r"`format` must be 'ean_mm.search_state'"),
        ({'format': 'other'}, r"`format` must be 'ean_mm.search_state'"),
        ({'version': 1}, r"`format` must be 'ean_mm.search_state'"),
    ],
)
def test_a_sealed_file_of_something_else_is_refused(fields, match):
    buffer = io.BytesIO()
    torch.save(fields, buffer)
    with pytest.raises(DamagedFileError, match=match):
        parse_state(seal(buffer.getvalue()), 'state.pt')


def test_fields_of_the_wrong_kind_are_refused():
    with pytest.raises(DamagedFileError, match=r'`log_bytes` must be of type int'):
        parse_state(dump_state(SavedState({}, '7', 'ab', {})), 'state.pt')


def test_a_newer_version_is_refused_without_falling_back(committed, monkeypatch):
    monkeypatch.setattr('ean_mm.search.state_file.VERSION', 2)
    newer = dump_state(SavedState(IDENTITY, 0, '', {}))
    monkeypatch.undo()
    (committed / 'state.pt').write_bytes(newer)
    with pytest.raises(SearchStateError, match=r'`version` must be 1, but got 2 in state.pt; use t'):
        load_step(committed)


def test_lines_of_something_else_are_refused():
    for line in (b'', b'[]\n', b'{"scheme": "101"}\n', b'{"scheme": 5}\n', b'\xff\n'):
        with pytest.raises(DamagedFileError, match='`line` must be an evaluation, but got'):
            Evaluation.from_line(line)


def test_links_lead_no_write_out_of_the_folder(tmp_path):
    outside, directory = tmp_path / 'outside', tmp_path / 'run'
    commit_steps(outside, 0, 1)
    before = {path.name: path.read_bytes() for path in outside.iterdir()}
    directory.mkdir()
    for name in ('state.pt', 'state.prev.pt', 'search.jsonl'):
        (directory / name).symlink_to(outside / name)
    assert load_step(directory) == 1
    with SearchRecord(directory, IDENTITY) as record:
        record.load()
        with pytest.raises(OSError, match=r'run/search.jsonl'):
            record.commit(content(2), [evaluation(2)])
    (directory / 'search.jsonl').unlink()
    (directory / 'search.jsonl').write_bytes(before['search.jsonl'])
    (directory / 'ticket.json').symlink_to(outside / 'ticket.json')
    (directory / 'timing.jsonl').symlink_to(outside / 'timing.jsonl')
    commit_steps(directory, 2, 3)
    with SearchRecord(directory, IDENTITY) as record, pytest.raises(OSError, match=r'timing\.jsonl'):
        record.note_time(step=0)
    assert {path.name: path.read_bytes() for path in outside.iterdir()} == before
