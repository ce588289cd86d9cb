"""Toy searches, in this process and in others."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest


def _load_toys():
    """The sibling file as a module; test folders are no packages."""
    path = Path(__file__).with_name('search_process.py')
    spec = importlib.util.spec_from_file_location('search_process', path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope='session')
def toys():
    """The names of ``search_process.py``."""
    return sys.modules.get('search_process') or _load_toys()


@pytest.fixture(scope='session')
def server(toys, tmp_path_factory):
    """A process that runs searches in processes of their own."""
    server = toys.SearchServer(tmp_path_factory.mktemp('stderr'))
    yield server
    server.close()


@pytest.fixture
def warnings_logged(monkeypatch):
    """What the search logs as warnings."""
    texts: list[str] = []
    monkeypatch.setattr('ean_mm.search.scoring.print_log', lambda text, **_: texts.append(text))
    return texts
