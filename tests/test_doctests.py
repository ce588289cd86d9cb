"""The examples in docstrings run, and the README's Python is a config."""

import ast
import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import numpy
import pytest
import torch

import ean_mm

ROOT = Path(__file__).parents[1]
MODULES = sorted(info.name for info in pkgutil.walk_packages(ean_mm.__path__, 'ean_mm.'))


@pytest.mark.parametrize('name', MODULES)
def test_examples_in_docstrings(name):
    module = importlib.import_module(name)
    names = {**vars(module), 'torch': torch, 'np': numpy}
    results = doctest.testmod(module, extraglobs=names)
    assert results.failed == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder()
    found = [test for name in MODULES for test in finder.find(importlib.import_module(name)) if test.examples]
    assert len(found) > 10


def test_python_in_the_readme_parses():
    blocks = re.findall(r'```python\n(.*?)```', (ROOT / 'README.md').read_text(), re.S)
    assert blocks
    for block in blocks:
        ast.parse(block.replace('    ...\n', ''))


def test_every_file_the_readme_links_to_exists():
    links = re.findall(r'\]\((?!https?://)([^)#]+)\)', (ROOT / 'README.md').read_text())
    assert links
    assert all((ROOT / link).exists() for link in links)
