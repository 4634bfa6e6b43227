"""Where the libraries of the stages keep what they insist on keeping: inside the project, not in HOME or beside it.

Imported before they are; mic-edge and the page need none of them.
"""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = Path(".cache")

_CACHES = {
    "MPLCONFIGDIR": "matplotlib",  # its list of fonts
    "TORCHINDUCTOR_CACHE_DIR": "torch",  # made when torch's compiler is imported, used or not
    "TRITON_CACHE_DIR": "triton",
}

if os.access(Path.cwd(), os.W_OK):
    for _name, _folder in _CACHES.items():
        os.environ.setdefault(_name, str(FOLDER.resolve() / _folder))
