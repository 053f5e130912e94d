"""Threads that interrupt each other as often as they can."""

import sys


def run_together(threads, interval):
    """Start the threads and wait for all; ``interval`` is the time in seconds that each may run."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(interval)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(usual)
