"""Files that are never half-written, and bytes that are never read changed."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import stat

import pytest

from ean_mm.structures import DamagedFileError, durable, seal, unseal, write_atomically


@pytest.fixture
def points():
    """The points reached, in order."""
    reached: list[str] = []
    durable.observe_points(reached.append)
    yield reached
    durable.observe_points(None)


class Stop(BaseException):
    """Ends a write where a test wants it."""


@pytest.fixture
def stop_at():
    def stop(name: str) -> None:
        def observer(point: str) -> None:
            if point == name:
                raise Stop

        durable.observe_points(observer)

    yield stop
    durable.observe_points(None)


# -- writing --------------------------------------------------------------------------------------


def test_writes_new_and_replaces_old(tmp_path, points):
    path = tmp_path / 'file.bin'
    write_atomically(path, b'one')
    assert path.read_bytes() == b'one'
    write_atomically(str(path), b'two')
    assert path.read_bytes() == b'two'
    assert list(tmp_path.iterdir()) == [path]
    steps = ['written', 'synced', 'replaced', 'done']
    assert points == [f'file.bin: {step}' for step in steps] * 2


def test_keeps_the_previous_content(tmp_path, points):
    path, previous = tmp_path / 'state', tmp_path / 'state.prev'
    write_atomically(path, b'one', previous=previous)
    assert not previous.exists()
    write_atomically(path, b'two', previous=previous)
    write_atomically(path, b'three', previous=previous)
    assert (path.read_bytes(), previous.read_bytes()) == (b'three', b'two')
    assert points[4:9] == [f'state: {step}' for step in ('written', 'synced', 'moved', 'replaced', 'done')]


@pytest.mark.parametrize('step', ['written', 'synced'])
def test_an_interrupted_write_leaves_the_old_content(tmp_path, stop_at, step):
    path = tmp_path / 'file'
    write_atomically(path, b'old')
    stop_at(f'file: {step}')
    with pytest.raises(Stop):
        write_atomically(path, b'new')
    assert path.read_bytes() == b'old'
    assert list(tmp_path.iterdir()) == [path]


def test_interrupted_between_the_renames_the_old_content_is_the_previous(tmp_path, stop_at):
    path, previous = tmp_path / 'file', tmp_path / 'file.prev'
    write_atomically(path, b'old')
    stop_at('file: moved')
    with pytest.raises(Stop):
        write_atomically(path, b'new', previous=previous)
    assert list(tmp_path.iterdir()) == [previous]
    assert previous.read_bytes() == b'old'


def test_content_is_on_disk_before_the_name_is(tmp_path, monkeypatch):
    calls = []
    real_fsync, real_replace = os.fsync, os.replace

    def fsync(descriptor):
        kind = 'folder' if stat.S_ISDIR(os.fstat(descriptor).st_mode) else 'file'
        calls.append(f'fsync {kind}')
        real_fsync(descriptor)

    def replace(*paths):
        calls.append('replace')
        real_replace(*paths)

    monkeypatch.setattr(os, 'fsync', fsync)
    monkeypatch.setattr(os, 'replace', replace)
    write_atomically(tmp_path / 'file', b'content')
    assert calls == ['fsync file', 'replace', 'fsync folder']


def test_a_link_is_replaced_not_followed(tmp_path):
    target = tmp_path / 'elsewhere'
    target.write_bytes(b'not ours')
    path = tmp_path / 'file'
    path.symlink_to(target)
    write_atomically(path, b'ours')
    assert target.read_bytes() == b'not ours'
    assert not path.is_symlink()
    assert path.read_bytes() == b'ours'


def test_mode_follows_the_umask(tmp_path):
    old = os.umask(0o022)
    try:
        write_atomically(tmp_path / 'file', b'')
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / 'file').stat().st_mode) == 0o644


def test_a_missing_folder_is_named(tmp_path):
    path = tmp_path / 'none' / 'file'
    with pytest.raises(FileNotFoundError, match=r'none/file'):
        write_atomically(path, b'')


def test_a_full_disk_names_the_path_and_leaves_the_old_content(tmp_path, monkeypatch):
    path = tmp_path / 'file'
    write_atomically(path, b'old')

    def full(_):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(os, 'fsync', full)
    with pytest.raises(OSError, match=r'No space left on device: .*file') as info:
        write_atomically(path, b'new')
    assert info.value.errno == errno.ENOSPC
    assert path.read_bytes() == b'old'
    assert list(tmp_path.iterdir()) == [path]


def test_orphans_are_removed_and_nothing_else(tmp_path):
    ours = tmp_path / f'.state.pt.{"0" * 16}.tmp'
    others = [tmp_path / name for name in ('state.pt', f'.other.{"0" * 16}.tmp', '.state.pt.tmp', '.state.pt.xyz.tmp')]
    for path in (ours, *others):
        path.write_bytes(b'')
    assert durable.remove_orphans(tmp_path, ('state.pt',)) == [ours]
    assert sorted(tmp_path.iterdir()) == sorted(others)


def test_orphans_are_those_that_write_atomically_leaves(tmp_path, monkeypatch, stop_at):
    stop_at('state.pt: synced')
    monkeypatch.setattr('pathlib.Path.unlink', lambda *_, **__: None)
    with pytest.raises(Stop):
        write_atomically(tmp_path / 'state.pt', b'new')
    monkeypatch.undo()
    assert durable.remove_orphans(tmp_path, ('state.pt',))
    assert not list(tmp_path.iterdir())


# -- sealing --------------------------------------------------------------------------------------


@pytest.mark.parametrize('payload', [b'', b'x', bytes(range(256)) * 40])
def test_a_seal_comes_off(payload):
    assert unseal(seal(payload)) == payload
    assert hashlib.sha256(payload).digest() in seal(payload)


def test_every_truncation_is_detected():
    data = seal(bytes(range(256)))
    for size in range(len(data)):
        with pytest.raises(DamagedFileError, match=r'`data` must .*, but got'):
            unseal(data[:size])


def test_every_flipped_bit_is_detected():
    data = seal(b'a payload')
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(DamagedFileError, match=r'`data` must'):
            unseal(bytes(flipped))


def test_additions_and_foreign_bytes_are_detected():
    with pytest.raises(DamagedFileError, match=r'must have the SHA-256'):
        unseal(seal(b'payload') + b'\0')
    for foreign in (b'', b'PK\x03\x04', random.Random(0).randbytes(200)):
        with pytest.raises(DamagedFileError, match=r'must start with'):
            unseal(foreign)
