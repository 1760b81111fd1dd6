"""worker: the process at the other end of a WorkerPool; one line of JSON in, one line of JSON out."""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from typing import Any, BinaryIO


def main() -> None:
    """Answer requests until the pool's process closes the pipe or ends."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not stand among the answers
    requests: queue.Queue[bytes] = queue.Queue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, requests), daemon=True).start()
    while True:
        answer = _answer(json.loads(requests.get()))
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.flush()


def _listen(pipe: BinaryIO, requests: queue.Queue[bytes]) -> None:
    """Take requests, and end at once where nobody is left to answer, in the midst of work too."""
    for line in pipe:
        requests.put(line)
    os._exit(0)


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    try:
        module, _, name = request["call"].partition(":")
        call: Callable[..., Any] = getattr(import_module(module), name)
        return {"result": call(*request["arguments"])}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


if __name__ == "__main__":
    main()
