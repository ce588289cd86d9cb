import io

import pytest

from ean_mm.visualization import SearchProgress, progress


@pytest.fixture
def lines(monkeypatch):
    said = []
    monkeypatch.setattr(progress, 'print_log', lambda text, logger: said.append(text))
    return said


def test_without_a_terminal_lines_come_now_and_then(lines, monkeypatch):
    clock = iter([0, 1, 30, 31, 40, 100])
    monkeypatch.setattr(progress.time, 'monotonic', lambda: next(clock))
    with SearchProgress(total=10) as bar:
        for done in range(4):
            bar.show(done, f'fact {done}')
        bar.show(10, 'end')
    assert len(lines) == 2
    assert lines[0] == 'Search 1/10, about 261 s left: fact 1'
    assert lines[1] == 'Search 10/10, about 0 s left: end'


def test_the_first_report_says_nothing_about_the_time_left(lines, monkeypatch):
    clock = iter([0, 55, 100])
    monkeypatch.setattr(progress.time, 'monotonic', lambda: next(clock))
    with SearchProgress(total=512) as bar:
        bar.show(64, 'best metric 91.65')  # how many of them were scored now, and how many by an earlier run?
        bar.show(128, 'best metric 91.80')
    assert lines == ['Search 64/512: best metric 91.65', 'Search 128/512, about 270 s left: best metric 91.80']


def test_only_one_rank_speaks(lines):
    with SearchProgress(total=1, is_visible=False) as bar:
        bar.show(1, 'end')
    assert lines == []


def test_on_a_terminal_there_is_a_bar(monkeypatch, lines):
    stream = io.StringIO()
    original = progress.Console
    monkeypatch.setattr(progress, 'Console', lambda stderr: original(file=stream, force_terminal=True, width=150))
    with SearchProgress(total=4) as bar:
        bar.show(2, 'best 71.2')
    assert '2/4' in stream.getvalue()
    assert 'best 71.2' in stream.getvalue()
    assert lines == []
