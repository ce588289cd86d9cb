"""Hooks: the code that meets a Runner."""

from .plain_checkpoint_hook import PlainCheckpointHook
from .search_hook import SearchHook
from .supernet_hook import SupernetHook

__all__ = ['PlainCheckpointHook', 'SearchHook', 'SupernetHook']
