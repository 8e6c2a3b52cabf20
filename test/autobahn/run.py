#!/usr/bin/env python3
"""Drives the 517 Autobahn cases against an echoing WebSocket server.

    run.py ws://127.0.0.1:8080/echo                 prints what differs from expected-results.json
    run.py --write ws://127.0.0.1:8080/echo         writes expected-results.json
    run.py --case '6.*' --case 7.1.1 ws://…         only these cases

Groups 12 and 13 are about compression: the server has WebSocketCompression On and, because kosoku demands
that every answer is compressed, WebSocketCompressionMinSize 0.

The exit status is 0 when nothing differs. kosoku runs the cases (see ../requirements.txt).
"""

import argparse
import asyncio
import json
import os
import sys
from collections import Counter
from fnmatch import fnmatch
from pathlib import Path

from kosoku import FailureError, run_fuzzingclient

EXPECTED = Path(__file__).with_name("expected-results.json")
# Autobahn has no groups 8 and 11.
GROUPS = [f"{group}.*" for group in (1, 2, 3, 4, 5, 6, 7, 9, 10, 12, 13)]


async def run(url, cases, parallel):
    """The normalised results: case → verdicts and the close code of the server."""
    try:
        results = await run_fuzzingclient(url, cases, concurrency=parallel)
    except FailureError as failure:
        results = failure.results
    return {
        result.case_id: {
            "behavior": result.behavior.value,
            "behaviorClose": result.behavior_close.value,
            "remoteCloseCode": result.remote_close_code,
        }
        for result in results
    }


def differences(expected, actual):
    """One line for each case that is missing, new or different."""
    lines = []
    for case in sorted(expected.keys() | actual.keys(), key=_number):
        if expected.get(case) != actual.get(case):
            lines.append(f"{case}: expected {expected.get(case)}, got {actual.get(case)}")
    return lines


def summary(results):
    """How many cases there are of each verdict; a case is OK when its closing handshake is, too."""
    verdicts = Counter(
        one["behavior"] if one["behavior"] != "OK" else one["behaviorClose"] for one in results.values()
    )
    return ", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common())


def dump(results):
    """JSON with one line for each case, in the cases' order."""
    lines = [f'  "{case}": {json.dumps(results[case])}' for case in sorted(results, key=_number)]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _number(case):
    return [int(part) for part in case.split(".")]


def main():
    parser = argparse.ArgumentParser(description="Autobahn against an echoing WebSocket server.")
    parser.add_argument("url")
    parser.add_argument("--write", action="store_true", help="write the expected results")
    parser.add_argument("--case", action="append", help="a case or a pattern such as 6.*")
    parser.add_argument("--parallel", type=int, default=1, help="how many cases at once")
    options = parser.parse_args()
    if options.write and options.case:
        parser.error("--write takes all cases")
    patterns = options.case or GROUPS
    actual = asyncio.run(run(options.url, patterns, options.parallel))
    if options.write:
        EXPECTED.write_text(dump(actual))
        return 0
    expected = {
        case: verdicts
        for case, verdicts in json.loads(EXPECTED.read_text()).items()
        if any(fnmatch(case, pattern) for pattern in patterns)
    }
    lines = differences(expected, actual)
    print("\n".join(lines) or f"{len(actual)} cases as expected: {summary(actual)}")
    return 1 if lines else 0


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    # Not sys.exit: kosoku's threads now and then abort while the interpreter is taken down.
    os._exit(status)
