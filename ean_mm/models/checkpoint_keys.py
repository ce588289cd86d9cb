"""Which keys of a checkpoint a wrapped backbone accepts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from mmengine.logging import print_log
from torch import nn

_HEADS = ('fc.', 'head.', 'classifier.')
_SHOWN = 4


def check_backbone_keys(backbone: nn.Module, state_dict: dict, prefix: str, allow_missing: Sequence[str]) -> None:
    """Refuse a checkpoint whose backbone keys differ from those of ``backbone``, and drop what is to be ignored.

    Ignored are a classifier's head, attention of groups that were not built, and keys named by ``allow_missing``. Attention
    may be absent as a whole (a plain checkpoint), not in part.

    Args:
        backbone: the wrapped backbone.
        state_dict: the checkpoint; ignored keys are removed from it.
        prefix: where the backbone starts in the keys.
        allow_missing: regular expressions, matched from the start of a key without its prefix.

    Raises:
        ValueError: naming the missing, unexpected and mis-shaped keys.
    """
    expected = dict(backbone.state_dict())
    given = {key[len(prefix) :]: key for key in state_dict if key.startswith(prefix)}
    allowed = [re.compile(pattern) for pattern in allow_missing]
    missing = {key for key in expected if key not in given and not _is_optional(key)}
    if not any(key.startswith('ean.') for key in given):
        missing = {key for key in missing if not key.startswith('ean.')}
    unexpected = {key for key in given if key not in expected}
    misshaped = {
        key for key, name in given.items() if key in expected and expected[key].shape != state_dict[name].shape
    }
    excused = {key for key in missing | unexpected | misshaped if any(p.match(key) for p in allowed)}
    ignored = {key for key in unexpected if key.startswith((*_HEADS, 'ean.'))} | excused
    wrong = {
        'missing': missing - excused,
        'unexpected': unexpected - ignored,
        'mis-shaped': misshaped - excused,
    }
    if any(wrong.values()):
        raise ValueError(_describe(type(backbone.backbone).__name__, wrong))
    for key in ignored & given.keys():
        del state_dict[given.pop(key)]
    new = [key for key in expected if key not in given and not _is_optional(key)]
    print_log(
        f'Checkpoint keys of the backbone: {len(given)} loaded, {len(new)} new'
        f'{_examples(new)}, {len(ignored)} ignored{_examples(ignored)}',
        logger='current',
    )


def _is_optional(key: str) -> bool:
    return key.endswith('num_batches_tracked')  # absent from checkpoints of old torch versions


def _describe(name: str, wrong: dict[str, set[str]]) -> str:
    parts = [f'{len(keys)} {kind} keys{_examples(keys)}' for kind, keys in wrong.items() if keys]
    advice = 'name keys that may differ in `allow_missing`, or take a checkpoint of this backbone.'
    if any(key.startswith('backbone.') for key in wrong['unexpected']):
        advice = "the checkpoint holds a whole model: add prefix='backbone.' to the Pretrained init_cfg."
    return f'`checkpoint` must hold the keys of {name}, but got {", ".join(parts)}; {advice}'


def _examples(keys: Iterable[str]) -> str:
    keys = sorted(keys)
    if not keys:
        return ''
    return f' ({", ".join(keys[:_SHOWN])}{", ..." if len(keys) > _SHOWN else ""})'
