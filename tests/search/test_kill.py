"""A search that is killed and started again ends as if nothing had happened."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from ean_mm.search import SearchRecord

STATE_STEPS = ('written', 'synced', 'moved', 'replaced', 'done')
POINTS = [
    'search.owner: written',
    'search.owner: replaced',
    'search.jsonl: written',
    'search.jsonl: synced',
    'ticket.json: written',
    'ticket.json: synced',
    'ticket.json: replaced',
    'ticket.json: done',
    *(f'state.pt: {step}' for step in STATE_STEPS),
    'timing.jsonl: written',
]
SAMPLES_PER_STEP = {'counting': 2, 'reinforce': 3}


def outcome(directory: Path) -> tuple[bytes, bytes]:
    return (directory / 'search.jsonl').read_bytes(), (directory / 'ticket.json').read_bytes()


def committed_step(directory: Path) -> int:
    """The next step of the last commit, read as a rank that does not write would."""
    found = SearchRecord(directory, {'seed': '0'}, is_writer=False).load()
    return -1 if found is None or found[0]['next_step'] is None else found[0]['next_step']


def assert_dies_and_recovers(server, reference, directory, point, occurrence, **extras) -> None:
    """Kill a search at a point, start it again, and compare with the uninterrupted one."""
    kill = [point, occurrence]
    code, _ = server.run(directory=str(directory), kill_at=kill, **extras)
    assert code == -signal.SIGKILL
    code, text = server.run(directory=str(directory), **extras)
    assert code == 0, text
    assert outcome(directory) == reference
    assert not list(directory.glob('.*.tmp'))


@pytest.fixture(scope='module')
def uninterrupted(server, tmp_path_factory):
    """Outcome of the counting search, and how often it reaches each point."""
    directory = tmp_path_factory.mktemp('uninterrupted')
    trace = directory / 'trace'
    code, text = server.run(directory=str(directory / 'run'), trace_to=str(trace))
    assert code == 0, text
    return outcome(directory / 'run'), Counter(trace.read_text().splitlines())


def test_every_point_is_known(uninterrupted):
    _, reached = uninterrupted
    missing = {'search.owner: synced', 'search.owner: done'}  # as the two beside them
    assert set(reached) - missing == set(POINTS)


# -- at chosen points ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('point', 'when'),
    [
        (point, when)
        for point in POINTS
        for when in ('first', 'second', 'last')
        if when == 'first' or 'owner' not in point  # reached once per process
    ],
)
def test_killed_at_a_point(server, uninterrupted, tmp_path, point, when):
    reference, reached = uninterrupted
    occurrence = {'first': 1, 'second': 2, 'last': reached[point]}[when]
    assert_dies_and_recovers(server, reference, tmp_path, point, occurrence)


def test_the_check_finds_a_writer_that_is_not_atomic(server, uninterrupted, tmp_path):
    """Negative control: with a direct write the same check must fail."""
    reference, _ = uninterrupted
    with pytest.raises(AssertionError, match='SearchStateError: `work_dir` must hold an undamaged'):
        assert_dies_and_recovers(server, reference, tmp_path, 'state.pt: written', 3, write_directly=True)


def test_killed_again_and_again_at_the_same_point(server, uninterrupted, tmp_path):
    reference, _ = uninterrupted
    for _ in range(6):  # the second time of each life: each makes a step
        server.run(directory=str(tmp_path), kill_at=['state.pt: moved', 2])
    code, text = server.run(directory=str(tmp_path))
    assert code == 0, text
    assert outcome(tmp_path) == reference


# -- at random moments -----------------------------------------------------------------------------


def kill_at_random(start, wait, directory: Path, num_kills: int, seed: int) -> int:
    """Start, kill, start again until the search ends; returns the number of kills."""
    generator = random.Random(seed)
    kills, step = 0, -1
    while True:
        pid = start()
        if kills < num_kills:
            time.sleep(generator.uniform(0, 0.25))
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        code, text = wait()
        if code == 0:
            return kills
        assert code == -signal.SIGKILL, text
        kills += 1
        now = committed_step(directory)
        assert now >= step
        step = now


@pytest.fixture(scope='module')
def reinforced(server, tmp_path_factory):
    directory = tmp_path_factory.mktemp('reinforced')
    code, text = server.run(directory=str(directory), strategy='reinforce', num_steps=40)
    assert code == 0, text
    return outcome(directory)


@pytest.mark.parametrize('seed', [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 12))])
def test_ten_kills_at_random_moments(server, reinforced, tmp_path, seed):
    directory, calls = tmp_path / 'run', tmp_path / 'calls'
    given = {'strategy': 'reinforce', 'num_steps': 40, 'seconds_per_score': 0.01}

    def start():
        return server.start({'directory': str(directory), 'calls_file': str(calls), **given})[0]

    kills = kill_at_random(start, lambda: server.wait()[0], directory, 10, seed)
    assert kills >= 5
    assert outcome(directory) == reinforced
    assert_little_work_was_lost(directory, calls, kills)


def assert_little_work_was_lost(directory: Path, calls: Path, kills: int) -> None:
    num_evaluations = len((directory / 'search.jsonl').read_bytes().splitlines())
    num_calls = len(calls.read_text().splitlines())
    assert num_evaluations <= num_calls <= num_evaluations + 3 * kills  # three per step


@pytest.mark.slow
def test_thirty_kills_of_real_processes(reinforced, tmp_path):
    directory, calls = tmp_path / 'run with späces', tmp_path / 'calls'
    program = Path(__file__).with_name('search_process.py')
    code = (
        'import runpy, sys; '
        f'names = runpy.run_path({str(program)!r}); '
        f'names["search"]({str(directory)!r}, "reinforce", 40, 0.05, {str(calls)!r})'
    )
    processes = []

    def start(*_):
        environment = {**os.environ, 'PYTHONPATH': str(program.parents[2]), 'OMP_NUM_THREADS': '1'}
        processes.append(subprocess.Popen([sys.executable, '-c', code], env=environment, stderr=subprocess.PIPE))
        return processes[-1].pid

    def wait():
        _, errors = processes[-1].communicate()
        return processes[-1].returncode, errors.decode()

    kills = kill_at_random(start, wait, directory, 30, seed=0)
    assert kills >= 15
    assert outcome(directory) == reinforced
    assert_little_work_was_lost(directory, calls, kills)


# -- one at a time ---------------------------------------------------------------------------------


def test_of_five_started_together_one_runs(server, tmp_path):
    directory = tmp_path / 'run'
    given = {'directory': str(directory), 'num_steps': 3, 'seconds_per_score': 0.2}
    start = time.monotonic()
    pids = server.start(*[given] * 5)
    ends = server.wait()
    assert time.monotonic() - start < 10
    winners = [pid for pid, (code, _) in zip(pids, ends, strict=True) if code == 0]
    assert len(winners) == 1
    for code, text in ends:
        if code != 0:
            assert f'which process {winners[0]} on {os.uname().nodename} is using' in text
            assert 'wait for it to end or choose another work_dir' in text
    assert len((directory / 'search.jsonl').read_bytes().splitlines()) == 2 + 3 * 2


def test_the_second_gives_up_at_once(server, tmp_path):
    with SearchRecord(tmp_path, {'seed': '0'}):
        start = time.monotonic()
        code, text = server.run(directory=str(tmp_path))
    assert time.monotonic() - start < 5
    assert code == 1
    assert f'process {os.getpid()} on' in text
    assert server.run(directory=str(tmp_path)) == (0, '')


def test_a_killed_search_leaves_no_lock_even_if_its_child_lives(server, uninterrupted, tmp_path):
    reference, _ = uninterrupted
    directory, pid_file = tmp_path / 'run', tmp_path / 'pid'
    slow = {'directory': str(directory), 'seconds_per_score': 0.05}
    (pid,) = server.start({**slow, 'leave_a_child': str(pid_file)})
    deadline = time.monotonic() + 20
    while not (pid_file.exists() and pid_file.read_text()) and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    assert server.wait()[0][0] == -signal.SIGKILL
    sleeper = int(pid_file.read_text())
    try:
        os.kill(sleeper, 0)
        code, text = server.run(directory=str(directory))
        assert code == 0, text
        assert outcome(directory) == reference
    finally:
        os.kill(sleeper, signal.SIGKILL)
