"""How much memory this process has used at most."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

MIB = 2**20


def peak_mb() -> float:
    """Largest resident memory of this process so far, MiB."""
    if sys.platform == "linux":
        # Not getrusage: on Linux its peak starts with that of the process that started this one.
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        found = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(next(found, "0")) * 1024 / MIB
    if sys.platform == "win32":
        return _peak_of_windows() / MIB
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MIB  # bytes on macOS


def _peak_of_windows() -> int:
    """PeakWorkingSetSize of GetProcessMemoryInfo, bytes."""

    class Counters(ctypes.Structure):
        _fields_ = (
            ("cb", ctypes.c_ulong),
            ("PageFaultCount", ctypes.c_ulong),
            ("PeakWorkingSetSize", ctypes.c_size_t),
            ("rest", ctypes.c_size_t * 7),
        )

    counters = Counters()
    counters.cb = ctypes.sizeof(counters)
    kernel = ctypes.windll.kernel32
    kernel.GetCurrentProcess.restype = ctypes.c_void_p
    kernel.K32GetProcessMemoryInfo.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_ulong)
    kernel.K32GetProcessMemoryInfo(kernel.GetCurrentProcess(), ctypes.byref(counters), counters.cb)
    return counters.PeakWorkingSetSize
