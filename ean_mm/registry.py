"""Registries of scope ``ean_mm``.

mmengine imports this file by itself when a config names a type as ``ean_mm.<Type>``, and hides any exception raised in
here: it must import nothing but mmengine. The modules named by ``locations`` load on the first look-up.
"""

import difflib
from collections.abc import Iterable

from mmengine.registry import DATA_SAMPLERS as MMENGINE_DATA_SAMPLERS
from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import METRICS as MMENGINE_METRICS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import Registry

_DATA = ['ean_mm.datasets', 'ean_mm.counting']
_NETWORKS = ['ean_mm.models', 'ean_mm.reparam', 'ean_mm.counting']

MODELS = Registry('model', parent=MMENGINE_MODELS, scope='ean_mm', locations=_NETWORKS)
HOOKS = Registry('hook', parent=MMENGINE_HOOKS, scope='ean_mm', locations=['ean_mm.hooks'])
DATASETS = Registry('dataset', parent=MMENGINE_DATASETS, scope='ean_mm', locations=_DATA)
TRANSFORMS = Registry('transform', parent=MMENGINE_TRANSFORMS, scope='ean_mm', locations=_DATA)
METRICS = Registry('metric', parent=MMENGINE_METRICS, scope='ean_mm', locations=['ean_mm.counting'])
DATA_SAMPLERS = Registry('data sampler', parent=MMENGINE_DATA_SAMPLERS, scope='ean_mm', locations=['ean_mm.datasets'])
STRATEGIES = Registry('search strategy', scope='ean_mm', locations=['ean_mm.search'])


def build_from(registry: Registry, cfg: dict, argument: str, **extra):
    """Build ``cfg`` and turn an unknown type into one sentence with the closest names.

    Args:
        registry: where the type is looked up; scoped names reach other packages.
        cfg: the config, with a ``type``.
        argument: how the user calls this config, for the error message.
        extra: further arguments, which override those of ``cfg``.

    Raises:
        ValueError: if ``cfg`` has no type or names an unknown one.
    """
    name = cfg.get('type') if isinstance(cfg, dict) else None
    if name is None:
        raise ValueError(f"`{argument}` must be a dict with a 'type', but got {cfg!r}.")
    if isinstance(name, str) and not _is_registered(registry, name):
        raise ValueError(
            f'`{argument}` must name a registered {registry.name}, but got {name!r}; {_closest_names(registry, name)}'
        )
    if registry.parent is None:  # other packages' default scopes have no branch in a registry of our own
        arguments = {key: value for key, value in cfg.items() if key != 'type'}
        return registry.get(name)(**{**arguments, **extra})
    return registry.build({**cfg, **extra})


def _is_registered(registry: Registry, name: str) -> bool:
    if registry.parent is None:
        return registry.get(name) is not None
    with registry.switch_scope_and_registry(None) as current:  # the scope in which build() will look
        try:
            return current.get(name) is not None
        except RuntimeError:  # mmengine's answer when the name resolves to nothing at all
            return False


def _closest_names(registry: Registry, name: str) -> str:
    scope, _, bare = name.rpartition('.')
    root = registry.root
    known = root if scope in ('', root.scope) else root.children.get(scope)
    if scope == registry.scope:
        known = registry
    if known is None:
        return f'no package of scope {scope!r} is installed; install it or name it in custom_imports.'
    prefix = f'{scope}.' if scope else ''
    otherwise = f'scope {known.scope!r} knows no similar name; see its documentation or custom_imports.'
    return suggest(bare, known.module_dict, otherwise, prefix)


def suggest(name: str, known: Iterable[str], otherwise: str, prefix: str = '') -> str:
    """Return the end of an error message: the known names closest to ``name``, or ``otherwise`` if none is close.

    >>> suggest('ecca', ['eca', 'gsop'], 'see the list.')
    "did you mean 'eca'?"
    """
    close = difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)
    return f'did you mean {" or ".join(repr(prefix + each) for each in close)}?' if close else otherwise
