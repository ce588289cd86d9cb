from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from ean_mm.datasets.generated_files import complete_files

STAMP = dict(kind='numbers', size=(1, 2))


@pytest.fixture
def folder(tmp_path):
    return tmp_path / 'deep' / 'root'


class Numbers:
    """Two files per sample, with its number in them."""

    def __init__(self, folder: Path, number: int = 4, stamp: dict = STAMP):
        self.stamp_file, self.stamp, self.made = folder / 'stamp.json', stamp, []
        self.paths = [(folder / 'a' / f'{i}.txt', folder / 'b' / f'{i}.txt') for i in range(number)]

    def encode(self, index: int) -> tuple[bytes, bytes]:
        self.made.append(index)
        return f'a{index}'.encode(), f'b{index}'.encode()

    def complete(self) -> list[int]:
        complete_files(self.stamp_file, self.stamp, self.paths, self.encode)
        for index, files in enumerate(self.paths):
            assert [path.read_text() for path in files] == [f'a{index}', f'b{index}']
        return self.made


def test_files_are_made_once(folder):
    assert Numbers(folder).complete() == [0, 1, 2, 3]
    assert Numbers(folder).complete() == []
    assert Numbers(folder, number=2).complete() == []
    assert Numbers(folder, number=6).complete() == [4, 5]


def test_nothing_unfinished_stays(folder):
    Numbers(folder).complete()
    assert sorted(os.listdir(folder / 'a')) == ['0.txt', '1.txt', '2.txt', '3.txt']


def test_complete_files_are_left_alone(folder):
    Numbers(folder).complete()
    (folder / 'stamp.lock').unlink(missing_ok=True)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob('*')}
    Numbers(folder).complete()
    assert {path: path.stat().st_mtime_ns for path in folder.rglob('*')} == before  # a read-only disk would do


@pytest.mark.parametrize('fails_at', [0, 2])
def test_what_was_broken_off_is_completed(folder, fails_at):
    broken = Numbers(folder)
    encode = broken.encode

    def fail(index):
        if index == fails_at:
            raise KeyboardInterrupt
        return encode(index)

    broken.encode = fail
    with pytest.raises(KeyboardInterrupt):
        broken.complete()
    assert Numbers(folder).complete() == list(range(fails_at, 4))


def test_a_process_killed_within_a_file_leaves_no_half_file(folder, monkeypatch):
    def die(temp, path):
        if path.name == '2.txt' and path.parent.name == 'b':
            raise KeyboardInterrupt
        replace(temp, path)

    replace = os.replace
    monkeypatch.setattr('os.replace', die)
    with pytest.raises(KeyboardInterrupt):
        Numbers(folder).complete()
    monkeypatch.undo()
    assert (folder / 'b' / '.unfinished').exists()
    assert Numbers(folder).complete() == [2, 3]
    assert not (folder / 'b' / '.unfinished').exists()


def test_files_that_went_missing_are_made_again(folder):
    Numbers(folder).complete()
    (folder / 'b' / '1.txt').unlink()
    assert Numbers(folder).complete() == [1]


def test_another_stamp_is_refused(folder):
    Numbers(folder).complete()
    other = Numbers(folder, stamp=dict(kind='numbers', size=(1, 3), more=None))
    message = (
        r"`data_root` must hold files generated from \{'size': \[1, 3\]\}, but got '.*stamp\.json' with "
        r"\{'size': \[1, 2\]\}; name another folder, or delete the stamp and its files\."
    )
    other.stamp.pop('more')
    with pytest.raises(ValueError, match=message):
        other.complete()
    assert other.made == []


def test_files_without_a_stamp_are_refused(folder):
    Numbers(folder).complete()
    (folder / 'stamp.json').unlink()
    with pytest.raises(
        ValueError, match=r'`data_root` must hold no files but generated ones, but got .*0\.txt.* without a stamp'
    ):
        Numbers(folder).complete()


@pytest.mark.parametrize('content', ['', '{', '[]'])
def test_a_damaged_stamp_is_refused(folder, content):
    Numbers(folder).complete()
    (folder / 'stamp.json').write_text(content)
    with pytest.raises(ValueError, match=r'must hold generated files and their stamp, but got .*, which is damaged: '):
        Numbers(folder).complete()


RACER = """
    import os, sys, time
    from pathlib import Path
    from ean_mm.datasets.generated_files import complete_files

    folder = Path(sys.argv[1])
    def encode(index):
        with open(folder / 'log', 'a') as log:
            log.write(f'{index}\\n')
        time.sleep(0.01)
        return (str(index).encode(),)
    (folder / f'ready{sys.argv[2]}').touch()
    while len(list(folder.glob('ready*'))) < 2:
        time.sleep(0.001)
    paths = [(folder / 'a' / f'{i}.txt',) for i in range(40)]
    complete_files(folder / 'stamp.json', {'kind': 'race'}, paths, encode)
    sys.stdout.write(str(sum(int(path.read_text()) for (path,) in paths)))
"""


def test_of_two_processes_one_writes_and_both_read(tmp_path):
    command = [sys.executable, '-c', textwrap.dedent(RACER), str(tmp_path)]
    racers = [subprocess.Popen([*command, str(i)], stdout=subprocess.PIPE, text=True) for i in range(2)]
    outputs = [racer.communicate(timeout=120)[0] for racer in racers]
    assert [output.splitlines()[-1] for output in outputs] == [str(sum(range(40)))] * 2
    assert [int(line) for line in (tmp_path / 'log').read_text().split()] == list(range(40))
