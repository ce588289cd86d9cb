"""Searches in processes of their own, which tests end as they like.

Run as a script it imports torch once and then forks a child per search, so that a search starts in
milliseconds: one JSON list of searches per line in, a list of process ids out, then, when all have
ended, a list of exit codes (negative: the signal) and what they wrote to stderr.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

import numpy as np
import torch

from ean_mm.search import Budget, Reinforce, Reward, SearchLoop, SearchRecord, SearchSpace, Strategy, one_by_one
from ean_mm.search import record as record_module
from ean_mm.structures import BackboneFingerprint, Ticket, durable
from ean_mm.structures import ticket as ticket_module

LAYOUT = (3, 4, 6, 3)
WEIGHTS = np.array([1, -2, 3, 1, -1, 2, -3, 1, 2, -1, 1, -2, 1, 3, -1, 2]) / 4
BACKBONE = BackboneFingerprint(type='ResNet', depth=50, blocks_per_stage=LAYOUT, channels=(256, 512, 1024, 2048))


class Counting(Strategy):
    """Proposes the numbers 1, 2, 3, ... in binary; learns their sum."""

    def __init__(self, num_steps: int):
        super().__init__(sum(LAYOUT), samples_per_step=2, num_steps=num_steps)
        self.total = torch.zeros((), dtype=torch.float64)

    def propose(self, step: int) -> np.ndarray:
        numbers = [2 * step + 1, 2 * step + 2]
        return np.array([[bit == '1' for bit in f'{number:016b}'] for number in numbers])

    def _learn(self, step: int, masks: np.ndarray, rewards: np.ndarray) -> None:
        self.total += rewards.sum()

    def state_dict(self) -> dict:
        return {'total': self.total.clone()}

    def load_state_dict(self, state: dict) -> None:
        self.total = state['total'].clone()

    def summary(self) -> dict[str, float]:
        return {'total': self.total.item()}


def make_ticket(evaluation) -> Ticket:
    return Ticket(
        origin='searched',
        scheme=evaluation.scheme,
        backbone=BACKBONE,
        attention={'type': 'ean_mm.SE', 'reduction': 16},
        sharing='stage',
        metrics={'accuracy/top1': evaluation.metric},
        seed=0,
    )


def number_of(scheme) -> float:
    """The scheme as a binary number, except all: each proposal of Counting beats those before."""
    bits = ''.join(str(scheme).split())
    return 0.0 if '0' not in bits else float(int(bits, 2))


def weigh(scheme) -> float:
    return 70 + float(scheme.mask @ WEIGHTS)


def search(
    directory: str,
    strategy: str = 'counting',
    num_steps: int = 6,
    seconds_per_score: float = 0.0,
    calls_file: str | None = None,
    identity: dict | None = None,
) -> None:
    """One search from start, or wherever it stands, to end."""
    metric = number_of if strategy == 'counting' else weigh

    def score(scheme):
        if calls_file is not None:
            with open(calls_file, 'a') as file:
                file.write(f'{scheme}\n')
        time.sleep(seconds_per_score)
        return metric(scheme)

    chosen = Counting(num_steps) if strategy == 'counting' else Reinforce(16, 0)
    with SearchRecord(directory, identity or {'seed': '0'}) as record:
        loop = SearchLoop(
            chosen,
            one_by_one(score),
            Reward(),
            record,
            SearchSpace(LAYOUT),
            make_ticket,
            budget=Budget(num_steps=num_steps),
        )
        loop.run()


# -- what a child does besides -------------------------------------------------------------------


def kill_at(point: str, occurrence: int) -> None:
    """Die without warning at the n-th time a write reaches ``point``."""
    left = occurrence

    def observer(reached: str) -> None:
        nonlocal left
        left -= reached == point
        if reached == point and left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    durable.observe_points(observer)


def trace_to(path: str) -> None:
    """Write down every point reached."""

    def observer(reached: str) -> None:
        with open(path, 'a') as file:
            file.write(f'{reached}\n')

    durable.observe_points(observer)


def write_directly(_: object) -> None:
    """Replace the atomic writer by one that opens the file and writes."""

    def write(path, data, previous=None):
        path = Path(path)
        with open(path, 'wb') as file:
            file.write(data[: len(data) // 2])
            file.flush()
            durable.reach_point(f'{path.name}: written')
            file.write(data[len(data) // 2 :])

    record_module.write_atomically = ticket_module.write_atomically = write


def leave_a_child(pid_file: str) -> None:
    """Fork a process that outlives this one with all its open files, as a data loader's does."""
    durable.observe_points(lambda point: _fork_sleeper(pid_file, point))


def _fork_sleeper(pid_file: str, point: str) -> None:
    if point != 'search.jsonl: synced' or os.path.exists(pid_file):
        return
    pid = os.fork()
    if pid == 0:
        time.sleep(60)
        os._exit(0)
    Path(f'{pid_file}.new').write_text(str(pid))
    os.replace(f'{pid_file}.new', pid_file)


EXTRAS = {
    'kill_at': lambda given: kill_at(*given),
    'trace_to': trace_to,
    'write_directly': write_directly,
    'leave_a_child': leave_a_child,
}


# -- the process that forks ----------------------------------------------------------------------


def _run_child(job: dict, errors: str) -> None:
    descriptor = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    status = 1
    try:
        for name in list(job):
            if name in EXTRAS:
                EXTRAS[name](job.pop(name))
        search(**job)
        status = 0
    except Exception:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _serve() -> None:
    torch.set_num_threads(1)
    for line in sys.stdin:
        jobs = json.loads(line)
        scratch = jobs.pop('scratch')
        files = [f'{scratch}/stderr_{n}' for n in range(len(jobs['searches']))]
        pids = []
        for job, errors in zip(jobs['searches'], files, strict=True):
            pid = os.fork()
            if pid == 0:
                _run_child(job, errors)
            pids.append(pid)
        _say(pids)
        ends = [(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), pid) for pid in pids]
        texts = [Path(path).read_text() if os.path.exists(path) else '' for path in files]
        _say([[code, text] for (code, _), text in zip(ends, texts, strict=True)])


def _say(value: object) -> None:
    sys.stdout.write(json.dumps(value) + '\n')
    sys.stdout.flush()


class SearchServer:
    """The other end: starts this file as a process and asks it for searches."""

    def __init__(self, scratch: Path):
        self.scratch = scratch
        root = str(Path(__file__).resolve().parents[2])
        self.process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, 'PYTHONPATH': root, 'OMP_NUM_THREADS': '1'},
        )

    def start(self, *searches: dict) -> list[int]:
        """Start searches at the same time; returns their process ids."""
        self.process.stdin.write(json.dumps({'scratch': str(self.scratch), 'searches': searches}) + '\n')
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def wait(self) -> list[tuple[int, str]]:
        """Exit code and stderr of each search of the last start, when all have ended."""
        return [(code, text) for code, text in json.loads(self.process.stdout.readline())]

    def run(self, **search) -> tuple[int, str]:
        """Run one search to its end."""
        self.start(search)
        return self.wait()[0]

    def close(self) -> None:
        """End the process."""
        self.process.stdin.close()
        self.process.wait(timeout=30)


if __name__ == '__main__':
    _serve()
