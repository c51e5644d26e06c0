"""Another program on the machine: burns one core until its parent ends it, or is gone.

Pins itself to the last CPU that it may use, where the system lets a process choose.
"""

import os
import time

LONGEST = 3600.0  # seconds; nothing outlives its benchmark for long


def burn(parent, until):
    """Count, and look once in a while (some ms) whether there is still a reason to."""
    while os.getppid() == parent and time.monotonic() < until:
        for _ in range(100_000):
            pass


if __name__ == "__main__":
    parent = os.getppid()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    print("busy", flush=True)
    burn(parent, time.monotonic() + LONGEST)
