"""Files written whole, memory maps, and fitted estimators in files."""

from sknnens._files._atomic import (
    RowFile,
    check_not_read,
    check_path,
    new_file,
    partial_path,
    release_pages,
    remove_partials,
)
from sknnens._files._persistence import PortableMixin, check_savable

__all__ = [
    "PortableMixin",
    "RowFile",
    "check_not_read",
    "check_path",
    "check_savable",
    "new_file",
    "partial_path",
    "release_pages",
    "remove_partials",
]
