"""How much memory there is: of a GPU, of the computer, of the container that a process is in."""

from collections.abc import Iterator
from pathlib import Path

import torch


def free_memory(device: str) -> tuple[int, int]:
    """The bytes that are free on ``device``, and all that it has."""
    if torch.device(device).type == "cuda":
        return torch.cuda.mem_get_info(device)
    import psutil

    memory = psutil.virtual_memory()
    free, total = memory.available, memory.total
    for limit, used in _cgroups():
        free, total = min(free, limit - used), min(total, limit)
    return max(free, 0), total


def _cgroups() -> Iterator[tuple[int, int]]:
    """The limit and the use, in bytes, of this process's control group and those around it (Linux, versions 1 and 2).

    Source: Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst of the kernel. Files that are cached and
    have not been used lately count as free.
    """
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        root = Path("/sys/fs/cgroup/memory" if controllers else "/sys/fs/cgroup")
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes") if controllers else ("memory.max", "memory.current")
        own = root / path.lstrip("/")
        for folder in (own, *own.parents):
            try:
                limit, used = ((folder / name).read_text(encoding="utf-8").strip() for name in names)
                stat = dict(line.split() for line in (folder / "memory.stat").read_text("utf-8").splitlines())
            except OSError:  # a container sees its own group as the root
                continue
            if limit != "max":
                yield int(limit), int(used) - int(stat.get("total_inactive_file", stat.get("inactive_file", 0)))
