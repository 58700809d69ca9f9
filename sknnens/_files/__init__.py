"""Files written whole, memory maps, and fitted estimators in files."""

from sknnens._files._atomic import (
    check_not_read,
    check_path,
    new_file,
    new_matrix,
    release_pages,
    remove_partials,
    write_header,
)
from sknnens._files._persistence import PortableMixin, check_savable

__all__ = [
    "PortableMixin",
    "check_not_read",
    "check_path",
    "check_savable",
    "new_file",
    "new_matrix",
    "release_pages",
    "remove_partials",
    "write_header",
]
