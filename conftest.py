"""Rooms whose package is not installed have no doctests; the head of the report names them."""

from importlib.util import find_spec

NEEDED = {"graphnn/sklearn": "sklearn"}  # what the test extra brings
MISSING = [room for room, package in NEEDED.items() if find_spec(package) is None]

collect_ignore = MISSING


def pytest_report_header() -> list[str]:
    """Say what is left out."""
    return [f"no doctests of {room}: {NEEDED[room]} is not installed" for room in MISSING]
