"""Values that the whole project shares; no torch in here."""

from .durable import DamagedFileError, seal, unseal, write_atomically
from .group_scores import GroupScores
from .scheme import ConnectionScheme
from .strict_model import BackboneFingerprint, TicketError
from .ticket import Ticket

__all__ = [
    'BackboneFingerprint',
    'ConnectionScheme',
    'DamagedFileError',
    'GroupScores',
    'Ticket',
    'TicketError',
    'seal',
    'unseal',
    'write_atomically',
]
