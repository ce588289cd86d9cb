import pytest

from ean_mm.launch import one_sentence
from ean_mm.structures import ConnectionScheme


def test_our_errors_are_one_sentence_and_exit_code_1():
    with pytest.raises(SystemExit) as caught, one_sentence():
        ConnectionScheme.parse('12', (2,))
    assert caught.value.code.startswith('error: `scheme` must')
    assert '\n' not in caught.value.code


def test_other_errors_keep_their_traceback():
    with pytest.raises(ValueError, match='foreign'), one_sentence():
        raise ValueError('foreign')
    with pytest.raises(ZeroDivisionError), one_sentence():
        1 / 0  # noqa: B018


def test_every_traceback_on_demand(monkeypatch):
    monkeypatch.setenv('EAN_MM_TRACEBACK', '1')
    with pytest.raises(ValueError, match='`scheme` must'), one_sentence():
        ConnectionScheme.parse('12', (2,))


def test_an_interrupt_says_how_to_go_on():
    with pytest.raises(SystemExit, match='the same command continues'), one_sentence():
        raise KeyboardInterrupt
