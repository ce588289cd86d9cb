"""A module level that the state dict does not show."""

from __future__ import annotations

from typing import Any

from torch import nn


class HiddenLevel(nn.Module):
    """Mix-in: keys of the child named ``hidden_child`` are saved and loaded without that name.

    Works for ``torch``'s and for mmengine's own state-dict walk, keeps the order of the keys, and reads unknown attributes
    from the child.
    """

    hidden_child: str

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.register_state_dict_post_hook(_hide_child)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:
        others = tuple(prefix + name + '.' for name in self._modules if name != self.hidden_child)
        for key in [key for key in state_dict if key.startswith(prefix)]:
            if not key.startswith(others):
                moved = prefix + self.hidden_child + '.' + key[len(prefix) :]
                state_dict[moved] = state_dict.pop(key)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            child = self.__dict__.get('_modules', {}).get(self.hidden_child)
            if child is None or name.startswith('__'):
                raise
            return getattr(child, name)


def _hide_child(module: HiddenLevel, state_dict: dict, prefix: str, local_metadata: dict) -> None:
    level = prefix + module.hidden_child + '.'
    for key in [key for key in state_dict if key.startswith(prefix)]:
        value = state_dict.pop(key)
        state_dict[prefix + key[len(level) :] if key.startswith(level) else key] = value
    versions = getattr(state_dict, '_metadata', {})
    for path in [path for path in versions if f'{path}.'.startswith(level)]:
        versions[(prefix + f'{path}.'[len(level) :])[:-1]] = versions.pop(path)
