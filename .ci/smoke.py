"""The least that an installed raftpy must do: import, from the installation and not from the source tree."""

from __future__ import annotations

import raftcore.types
import raftpy

print(f"raftpy {raftpy.__version__} from {raftpy.__file__}, LOCAL_APPEND_THREAD={raftcore.types.LOCAL_APPEND_THREAD}")
