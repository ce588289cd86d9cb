"""No source runs foreign data as code, prints or asserts; no text file names one machine."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / 'ean_mm'
UNSAFE_MODULES = {
    'pickle',
    'cPickle',
    '_pickle',
    'dill',
    'cloudpickle',
    'shelve',
    'marshal',
    'joblib',
}
UNSAFE_BUILTINS = {'eval', 'exec', 'compile', '__import__'}
UNSAFE_YAML = {'load', 'load_all', 'full_load', 'full_load_all', 'unsafe_load', 'unsafe_load_all'}
OBJECT_COLLECTIVES = {
    'broadcast_object_list',
    'all_gather_object',
    'gather_object',
    'scatter_object_list',
}

# the user's explicit --trust-checkpoint, and the one file which may act on it
TRUST_OPT_IN = 'weights_only by opt-in'
TRUST_OPT_IN_FILE = 'ean_mm/evaluation/supernet_file.py'


# -- the package's own code ------------------------------------------------------------------------


def problems(source: str) -> list[str]:
    """Return ``line: what`` for everything in ``source`` which the package must not contain."""
    nodes = ast.walk(ast.parse(source))
    return [f'{node.lineno}: {what}' for node in nodes for what in _problems_of(node)]


def _problems_of(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Assert):
        yield 'assert (raise an error which shows the value)'
    elif isinstance(node, ast.Import):
        yield from _unsafe_imports(alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and not node.level:
        yield from _unsafe_imports([node.module or ''])
        if node.module == 'yaml' and any(alias.name in UNSAFE_YAML for alias in node.names):
            yield 'yaml loader which builds objects'
    elif isinstance(node, ast.Call):
        yield from _problems_of_call(node)


def _unsafe_imports(names) -> Iterator[str]:
    yield from (f'import {name}' for name in names if name.split('.')[0] in UNSAFE_MODULES)


def _problems_of_call(node: ast.Call) -> Iterator[str]:
    keywords = {keyword.arg: keyword.value for keyword in node.keywords}
    if isinstance(node.func, ast.Name):
        if node.func.id in UNSAFE_BUILTINS:
            yield f'{node.func.id}()'
        if node.func.id == 'print':
            yield 'print() (use mmengine.logging.print_log)'
    if isinstance(node.func, ast.Attribute):
        owner = getattr(node.func.value, 'id', '')
        if owner == 'yaml' and node.func.attr in UNSAFE_YAML:
            yield f'yaml.{node.func.attr}()'
        if owner == 'torch' and node.func.attr == 'load' and 'weights_only' not in keywords:
            yield 'torch.load() without weights_only=True'
        if node.func.attr in OBJECT_COLLECTIVES:
            yield f'{node.func.attr}() (it unpickles)'
        if owner in {'np', 'numpy'} and node.func.attr == 'load' and 'allow_pickle' in keywords:
            yield 'numpy.load(allow_pickle=...)'
    weights_only = keywords.get('weights_only')
    if weights_only is None or getattr(weights_only, 'value', None) is True:
        return
    opt_in = ast.unparse(weights_only) == 'not trust_checkpoint'
    yield TRUST_OPT_IN if opt_in else 'weights_only other than True'


def test_the_package_is_clean():
    found = [
        f'{name}:{problem}'
        for name, source in _package_sources()
        for problem in problems(source)
        if not (name == TRUST_OPT_IN_FILE and problem.endswith(TRUST_OPT_IN))
    ]
    assert not found, '\n'.join(found)


def _package_sources() -> Iterator[tuple[str, str]]:
    for path in sorted(PACKAGE.rglob('*.py')):
        yield path.relative_to(ROOT).as_posix(), path.read_text(encoding='utf-8')


def test_one_call_alone_acts_on_the_users_trust():
    calls = [name for name, source in _package_sources() if TRUST_OPT_IN in str(problems(source))]
    assert calls == [TRUST_OPT_IN_FILE]


@pytest.mark.parametrize(
    ('source', 'match'),
    [
        ('torch.load(path, weights_only=False)', 'weights_only other than True'),
        ('torch.load(path, weights_only=trusted)', 'weights_only other than True'),
        ('torch.load(path, weights_only=not trust_checkpoint)', 'by opt-in'),
        ('load(path, weights_only=False)', 'weights_only other than True'),
        ('torch.load(path)', 'without weights_only'),
        ('import pickle', 'import pickle'),
        ('import pickle as p', 'import pickle'),
        ('def f():\n    from pickle import loads', '2: import pickle'),
        ('import joblib.numpy_pickle', 'import joblib'),
        ('yaml.load(text)', r'yaml\.load'),
        ('yaml.unsafe_load(text)', r'yaml\.unsafe_load'),
        ('from yaml import full_load', 'yaml loader'),
        ('eval(text)', r'eval\(\)'),
        ('exec(text)', r'exec\(\)'),
        ('exec(compile(text, "f", "exec"))', r'exec\(\)'),
        ('np.load(path, allow_pickle=True)', r'numpy\.load'),
        ('dist.broadcast_object_list(values)', 'it unpickles'),
        ('print(1)', r'print\(\)'),
        ('def f(x):\n    assert x > 0', '2: assert'),
    ],
)
def test_the_check_finds(source, match):
    assert any(re.search(match, problem) for problem in problems(source))


@pytest.mark.parametrize(
    'source',
    [
        'model.eval()',
        '"""pickle, eval( and print( in a docstring"""',
        'torch.load(path, weights_only=True)',
        'yaml.safe_load(text)',
        'console.print(table)',
        'from .pickle import x',
        'json.load(file)',
        'np.load(path)',
    ],
)
def test_the_check_passes(source):
    assert problems(source) == []


# -- every text file -------------------------------------------------------------------------------

# a home or mount point with something below it, as the start of a path
MACHINE_PATH = re.compile(r'(?:(?<![\w.~\-/)}])|(?<=file://))/(?:home|root|work|Users|workspace|mnt|opt|scratch)/[\w.]')
WINDOWS_HOME = re.compile(r'\b[A-Za-z]:[\\/]+Users[\\/]+\w', re.IGNORECASE)
REGISTRY_HOST = re.compile(r'\b(?:pypi|pythonhosted|anaconda|conda-forge|download\.pytorch)\.(?:org|com|net)\b')
NOT_TEXT = {
    '.png',
    '.jpg',
    '.jpeg',
    '.gif',
    '.pdf',
    '.npz',
    '.npy',
    '.pth',
    '.pt',
    '.onnx',
    '.zip',
    '.gz',
}
NOT_OURS = {'__pycache__', 'work_dirs', 'data', 'build', 'dist'}


def machine_names(text: str) -> list[str]:
    """Return ``line: text`` for every line naming a path of one machine or a registry's host."""
    patterns = (MACHINE_PATH, WINDOWS_HOME, REGISTRY_HOST)
    return [
        f'{number}: {line.strip()[:120]}'
        for number, line in enumerate(text.splitlines(), 1)
        if any(pattern.search(line) for pattern in patterns)
    ]


def _project_files() -> list[Path]:
    """Return what git tracks or would add; without git, all but environments and outputs."""
    if shutil.which('git') and (ROOT / '.git').exists():
        command = ['git', 'ls-files', '-z', '--cached', '--others', '--exclude-standard']
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if listed.returncode == 0:
            return [ROOT / name for name in listed.stdout.split('\0') if name]
    return [path for path in ROOT.rglob('*') if not _is_output(path.relative_to(ROOT).parts)]


def _is_output(parts: tuple[str, ...]) -> bool:
    hidden = any(part.startswith('.') and part != '.ci' for part in parts[:-1])
    return hidden or any(part in NOT_OURS or part.endswith('.egg-info') for part in parts)


def test_no_file_names_a_machine():
    files = [path for path in _project_files() if path.suffix not in NOT_TEXT and path.is_file()]
    assert PACKAGE / 'version.py' in files
    found = [
        f'{path.relative_to(ROOT)}:{problem}'
        for path in files
        for problem in machine_names(path.read_text(encoding='utf-8'))
    ]
    assert not found, '\n'.join(found)


@pytest.mark.parametrize(
    'parts',
    [
        ('see /', 'home/alice/data'),
        ('"/', 'root/.cache"'),
        ('=/', 'work/main'),
        ('file:///', 'opt/wheels'),
        ('/', 'Users/alice'),
        ('C:', '\\Users\\alice'),
        ('https://py', 'pi.org/simple'),
        ('https://files.python', 'hosted.org'),
    ],
)
def test_the_check_finds_a_machine(parts):
    assert machine_names(''.join(parts)) == [f'1: {"".join(parts)}']


@pytest.mark.parametrize(
    'text',
    [
        'work_dirs/run',
        './work/x',
        'data/home/x',
        'https://example.org/home/x',
        '/path/to/imagenet',
        '~/work/x',
    ],
)
def test_the_check_passes_other_paths(text):
    assert machine_names(text) == []
