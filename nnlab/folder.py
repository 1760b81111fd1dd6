"""folder: files written whole or not at all, into a folder or one ZIP."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from nnlab.run_files import RunFile
from nnlab.whole_file import write_whole

# The earliest that a ZIP can say. The same run then is the same file whenever it is packed.
WRITTEN = (1980, 1, 1, 0, 0, 0)


def write_folder(files: Sequence[RunFile], folder: Path) -> Iterator[Path]:
    """Write files into a folder that exists, giving the path of each once it is whole.

    Raises:
        OSError: the folder cannot be written or the disk is full; no half-written file is left.
    """
    for file in files:
        path = folder / file.name
        write_whole(path, [file.make()])
        yield path


def to_zip(files: Sequence[RunFile]) -> bytes:
    """Pack files into a ZIP."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for file in files:
            entry = zipfile.ZipInfo(file.name, WRITTEN)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, file.make())
    return content.getvalue()
