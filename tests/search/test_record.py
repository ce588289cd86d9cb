"""The files of a search: committed or not at all, one writer, damage detected, foreigners refused."""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import stat
import subprocess

import pytest
import torch

from ean_mm.search import Evaluation, SearchRecord, SearchStateError
from ean_mm.search import record as record_module
from ean_mm.search.state_file import SavedState, dump_state, parse_state
from ean_mm.structures import ConnectionScheme, DamagedFileError, durable, seal

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


@pytest.fixture
def committed(tmp_path):
    """A folder with four commits, of steps 0 to 3."""
    commit_steps(tmp_path, 0, 1, 2, 3)
    return tmp_path


# -- commits ---------------------------------------------------------------------------------------


def test_nothing_is_loaded_from_a_new_folder(tmp_path):
    directory = tmp_path / 'a' / 'new folder'
    with SearchRecord(directory, IDENTITY) as record:
        assert record.load() is None
    assert SearchRecord(tmp_path / 'missing', IDENTITY, is_writer=False).load() is None


def test_a_commit_is_loaded_back(committed):
    assert load_step(committed) == 3
    names = {path.name for path in committed.iterdir()}
    assert names == {'search.jsonl', 'search.lock', 'state.pt', 'state.prev.pt'}


def test_the_log_is_strict_json_of_fixed_fields(tmp_path):
    failed = Evaluation(evaluation(1).scheme, 'control', None, None, None, 'the metric is nan')
    with SearchRecord(tmp_path, IDENTITY) as record:
        record.load()
        record.commit({}, [evaluation(2), failed])
    assert (tmp_path / 'search.jsonl').read_text() == (
        '{"step": 2, "role": "proposal", "scheme": "000 0000 000010 000", "num_connected": 1, '
        '"metric": 72.0, "reward": 72.5}\n'
        '{"step": null, "role": "control", "scheme": "000 0000 000001 000", "num_connected": 1, '
        '"metric": null, "reward": null, "reason": "the metric is nan"}\n'
    )
    _, evaluations = SearchRecord(tmp_path, IDENTITY, is_writer=False).load()
    assert evaluations == [evaluation(2), failed]


def test_no_line_holds_a_number_json_does_not_know():
    odd = Evaluation(evaluation(1).scheme, 'proposal', 0, float('nan'), 1.0)
    with pytest.raises(ValueError, match='Out of range float values'):
        odd.to_line()


def test_metrics_come_back_to_the_last_digit(tmp_path):
    values = [1 / 3, 1e-17, 76.23199462890625, -0.0, 5e-324]
    scheme = evaluation(1).scheme
    given = [Evaluation(scheme, 'proposal', 0, value, value) for value in values]
    with SearchRecord(tmp_path, IDENTITY) as record:
        record.load()
        record.commit({}, given)
    assert SearchRecord(tmp_path, IDENTITY, is_writer=False).load()[1] == given


def test_an_uncommitted_tail_of_the_log_is_cut_off(committed):
    before = (committed / 'search.jsonl').read_bytes()
    with open(committed / 'search.jsonl', 'ab') as file:
        file.write(b'{"step": 4, "role": "pro')
    assert load_step(committed) == 3
    commit_steps(committed, 4)
    assert (committed / 'search.jsonl').read_bytes() == before + evaluation(4).to_line()
    assert load_step(committed) == 4


def test_a_commit_that_fails_can_be_repeated(committed, monkeypatch):
    reference = (committed / 'search.jsonl').read_bytes() + evaluation(4).to_line()

    def full(*_, **__):
        raise OSError(28, 'No space left on device', 'state.pt')

    with SearchRecord(committed, IDENTITY) as record:
        record.load()
        with monkeypatch.context() as patch:
            patch.setattr(record_module, 'write_atomically', full)
            with pytest.raises(OSError, match='No space left'):
                record.commit(content(4), [evaluation(4)])
        assert load_step(committed) == 3
        record.commit(content(4), [evaluation(4)])
    assert load_step(committed) == 4
    assert (committed / 'search.jsonl').read_bytes() == reference


def test_commit_needs_an_open_and_loaded_record(tmp_path):
    record = SearchRecord(tmp_path, IDENTITY)
    with pytest.raises(RuntimeError, match='`SearchRecord` must be open, but got one that is clos'):
        record.commit({})
    with record, pytest.raises(RuntimeError, match='`commit` must follow `load`'):
        record.commit({})


@pytest.mark.parametrize('identity', [{'seed': 0}, {0: 'seed'}, {'seed': None}])
def test_identity_must_hold_strings(tmp_path, identity):
    with pytest.raises(ValueError, match='`identity` must hold strings, but got'):
        SearchRecord(tmp_path, identity)


def test_times_go_to_a_file_of_their_own(committed):
    path = committed / 'timing.jsonl'
    with SearchRecord(committed, IDENTITY) as record:
        record.note_time(step=0, seconds=1.5)
        with open(path, 'ab') as file:
            file.write(b'{"step": 1, "sec')  # what a killed writer leaves
        record.note_time(step=1, seconds=2.5)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines == [{'step': 0, 'seconds': 1.5}, {'step': 1, 'seconds': 2.5}]


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


# -- another search --------------------------------------------------------------------------------


def test_another_search_is_refused_field_by_field(committed):
    other = {'seed': '1', 'strategy': 'x' * 500}
    with pytest.raises(SearchStateError, match='must hold the state of this very search') as info:
        SearchRecord(committed, other, is_writer=False).load()
    message = str(info.value)
    assert "seed was '0' and is now '1'" in message
    assert "strategy was not given and is now 'xxx" in message
    assert "backbone was 'ResNet-50' and is now not given" in message
    assert 'pass --restart to move that search aside' in message
    assert len(message) < 600


def test_long_fields_are_shown_where_they_differ(tmp_path):
    old, new = ('model(' + 'x' * 3000 + f'depth={depth}' + 'y' * 3000 for depth in (50, 101))
    with SearchRecord(tmp_path, {'model': old}) as record:
        record.load()
        record.commit({})
    with pytest.raises(SearchStateError, match=r"was '\.\.\.x+depth=50y+.* now '\.\.\.x+depth=101y+") as i:
        SearchRecord(tmp_path, {'model': new}, is_writer=False).load()
    assert len(str(i.value)) < 600


def test_restart_moves_everything_aside_and_deletes_nothing(committed):
    for name in ('ticket.json', 'timing.jsonl', 'state.pt.damaged-1', 'report.html', 'config.py'):
        (committed / name).write_text(name)
    before = {path.name: path.read_bytes() for path in committed.iterdir()}
    with SearchRecord(committed, {'seed': '1'}) as record:
        folder = record.restart('report.html', 'missing.txt')
        assert folder == committed / 'previous_1'
        assert record.load() is None
        record.commit({'next_step': 0})
        assert record.restart() == committed / 'previous_2'
        assert record.restart() is None
    moved = {path.name: path.read_bytes() for path in folder.iterdir()}
    left = {path.name for path in committed.iterdir() if path.is_file()}
    assert left == {'search.lock', 'config.py'}
    assert {**moved, **{name: before[name] for name in left}} == before
    assert {path.name for path in (committed / 'previous_2').iterdir()} == {
        'state.pt',
        'search.jsonl',
    }


@pytest.mark.parametrize('name', ['../x', '/etc/passwd', 'a/b', '..', ''])
def test_restart_moves_only_files_of_the_folder(committed, name):
    with (
        SearchRecord(committed, IDENTITY) as record,
        pytest.raises(ValueError, match='`others` must be plain file names, but got'),
    ):
        record.restart(name)
    assert load_step(committed) == 3


@pytest.mark.parametrize('num_moved', [1, 2])
def test_a_restart_killed_half_way_leaves_no_half_search(committed, monkeypatch, num_moved):
    real, calls = os.replace, []

    def replace(*paths):
        calls.append(paths)
        if len(calls) > num_moved:
            raise KeyboardInterrupt
        real(*paths)

    with SearchRecord(committed, IDENTITY) as record:
        monkeypatch.setattr(os, 'replace', replace)
        with pytest.raises(KeyboardInterrupt):
            record.restart()
        monkeypatch.undo()
        if num_moved == 1:  # state.prev.pt has gone, the search is whole
            assert load_step(committed) == 3
        else:  # the log is left without a state
            with pytest.raises(SearchStateError, match=r'must hold state.pt beside search.jsonl'):
                record.load()
        assert record.restart() == committed / 'previous_2'
        assert record.load() is None


# -- one writer, many readers ----------------------------------------------------------------------


def test_a_second_writer_is_told_who_is_first(tmp_path):
    with SearchRecord(tmp_path, IDENTITY):
        second = SearchRecord(tmp_path, IDENTITY)
        host = os.uname().nodename
        with pytest.raises(SearchStateError, match=rf'which process {os.getpid()} on {host} is usin'):
            second.open()
    second.open()
    second.close()
    assert not (tmp_path / 'search.owner').exists()


def test_an_owner_that_left_no_name_is_waited_for_only_shortly(tmp_path, monkeypatch):
    monkeypatch.setattr('ean_mm.search.lock.SECONDS_TO_NAME_THE_OWNER', 0.1)
    with SearchRecord(tmp_path, IDENTITY):
        dead = subprocess.Popen(['true'])
        dead.wait()
        for text in (f'{dead.pid} {os.uname().nodename}\n', 'nonsense', '-5 x', '1' * 400 + ' x y'):
            (tmp_path / 'search.owner').write_text(text)
            with pytest.raises(SearchStateError, match='a process that has not left its name is us'):
                SearchRecord(tmp_path, IDENTITY).open()
        (tmp_path / 'search.owner').write_text('12 another.host\n')
        with pytest.raises(SearchStateError, match=r'process 12 on another.host is using'):
            SearchRecord(tmp_path, IDENTITY).open()


def test_the_lock_is_given_back_when_the_search_raises(tmp_path):
    with pytest.raises(KeyboardInterrupt), SearchRecord(tmp_path, IDENTITY):
        raise KeyboardInterrupt
    with SearchRecord(tmp_path, IDENTITY):
        pass


def snapshot(directory) -> dict:
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in directory.iterdir()}


def test_a_reader_writes_nothing_and_holds_no_lock(committed):
    (committed / 'state.pt').write_bytes(b'damaged')
    before = snapshot(committed)
    with SearchRecord(committed, IDENTITY, is_writer=False) as reader:
        assert reader.load() is not None
        reader.commit(content(9), [evaluation(9)])
        reader.note_time(step=9)
        assert reader.restart() is None
        with SearchRecord(committed, IDENTITY) as writer:
            assert writer.load() is not None
        assert reader.load() is not None
    assert snapshot(committed) == before


def test_a_reader_makes_no_folder(tmp_path):
    with SearchRecord(tmp_path / 'none', IDENTITY, is_writer=False) as reader:
        assert reader.load() is None
    assert not (tmp_path / 'none').exists()


# -- folders that will not do ----------------------------------------------------------------------


def test_a_file_in_the_place_of_the_folder(tmp_path):
    path = tmp_path / 'file'
    path.write_text('text')
    for directory in (path, path / 'below'):
        match = r'`work_dir` must be a folder that this process can write to, but got .*file'
        with pytest.raises(SearchStateError, match=match):
            SearchRecord(directory, IDENTITY).open()
    assert path.read_text() == 'text'


@pytest.mark.skipif(os.geteuid() == 0, reason='root may write everywhere')
def test_a_folder_without_permission(tmp_path):
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(SearchStateError, match=r'can write to, but got .* \(Permission denied\)'):
        SearchRecord(tmp_path, IDENTITY).open()


@pytest.mark.parametrize('error', [PermissionError(13, 'Permission denied'), OSError(30, 'Read-on')])
def test_a_read_only_folder(tmp_path, monkeypatch, error):
    def refuse(*_, **__):
        raise error

    monkeypatch.setattr('ean_mm.search.lock.FileLock.acquire', refuse)
    with pytest.raises(SearchStateError, match=rf'can write to, but got .* \({error.strerror}\)'):
        SearchRecord(tmp_path, IDENTITY).open()


def test_paths_with_spaces_and_letters_of_all_kinds(tmp_path):
    directory = tmp_path / 'söme räther ödd 名 "path"'
    commit_steps(directory, 0, 1)
    assert load_step(directory) == 1


def test_points_are_reached_in_the_order_of_the_promise(tmp_path):
    reached: list[str] = []
    commit_steps(tmp_path, 0, 1)
    with SearchRecord(tmp_path, IDENTITY) as record:
        record.load()
        durable.observe_points(reached.append)
        try:
            record.commit(content(2), [evaluation(2)])
        finally:
            durable.observe_points(None)
    state = [f'state.pt: {step}' for step in ('written', 'synced', 'moved', 'replaced', 'done')]
    assert reached == ['search.jsonl: written', 'search.jsonl: synced', *state]
