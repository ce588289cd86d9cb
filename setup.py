"""Package metadata; requirements come from requirements/, the version from ean_mm/version.py."""

from __future__ import annotations

import ast
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent
EXTRAS = ('onedl', 'openmmlab', 'seg', 'timm', 'tests', 'export', 'optuna')


def read_version() -> str:
    """Return ``__version__`` as written, without importing the package."""
    for node in ast.parse((ROOT / 'ean_mm/version.py').read_text(encoding='utf-8')).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], 'id', '') == '__version__':
            return ast.literal_eval(node.value)
    raise ValueError('`ean_mm/version.py` must assign `__version__`, but got no such line.')


def read_requirements(name: str) -> list[str]:
    """Return the requirement lines of one file, comments removed."""
    text = (ROOT / 'requirements' / f'{name}.txt').read_text(encoding='utf-8')
    lines = (line.partition('#')[0].strip() for line in text.splitlines())
    return [line for line in lines if line]


def read_description() -> str:
    """Return the README, or one line when it is not there yet."""
    readme = ROOT / 'README.md'
    return readme.read_text(encoding='utf-8') if readme.is_file() else 'See the repository.'


setup(
    name='ean_mm',
    version=read_version(),
    description='Find where in a network attention should be plugged in',
    long_description=read_description(),
    long_description_content_type='text/markdown',
    author='the ean_mm authors',
    license='Apache-2.0',
    license_files=['LICENSE'],
    python_requires='>=3.10',
    packages=find_packages(include=['ean_mm', 'ean_mm.*']),
    package_data={'ean_mm.report': ['templates/*']},
    install_requires=read_requirements('runtime'),
    extras_require={name: read_requirements(name) for name in EXTRAS},
    keywords='attention, architecture search, squeeze-and-excitation, mmengine, mmpretrain',
    classifiers=[
        'Development Status :: 3 - Alpha',
        'Intended Audience :: Science/Research',
        'Programming Language :: Python :: 3',
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
    ],
    zip_safe=False,
)
