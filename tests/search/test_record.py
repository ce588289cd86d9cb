"""The files of a search: committed or not at all, one writer, other searches refused."""

from __future__ import annotations

import json
import os
import stat
import subprocess

import pytest
from record_steps import IDENTITY, commit_steps, content, evaluation, load_step

from ean_mm.search import Evaluation, SearchRecord, SearchStateError
from ean_mm.search import record as record_module
from ean_mm.structures import durable

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
    files = (path for path in directory.iterdir() if path.name != 'search.lock')
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


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
