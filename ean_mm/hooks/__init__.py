"""Hooks: the code that meets a Runner."""

from .search_hook import SearchHook
from .supernet_hook import SupernetHook

__all__ = ['SearchHook', 'SupernetHook']
