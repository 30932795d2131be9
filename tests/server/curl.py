"""Runs the curl command lines of the documentation, as far as they use the few options below.

Not every machine that runs the tests has curl; where it is there, the real one runs them too.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
from http.client import HTTPConnection
from urllib.parse import urlsplit


def runners() -> list[str]:
    """Ways to run a command line here."""
    return ["ours"] + (["curl"] if shutil.which("curl") else [])


def run(command: str, how: str) -> str:
    """The output of a curl command line."""
    words = shlex.split(command)
    assert words[0] == "curl"
    if how == "curl":
        done = subprocess.run(
            ["curl", "-sS", "--path-as-is", *words[1:]], capture_output=True, timeout=20, check=True, text=True
        )
        return done.stdout
    return _ours(words[1:])


def _ours(words: list[str]) -> str:
    method, body, headers, follow, head_only, url = "GET", None, {}, False, False, ""
    rest = iter(words)
    for word in rest:
        match word:
            case "-X":
                method = next(rest)
            case "-d" | "--data-binary":
                body = next(rest)
                headers["Content-Type"] = "application/x-www-form-urlencoded"
            case "-H":
                name, _, value = next(rest).partition(":")
                headers[name] = value.strip()
            case "-L":
                follow = True
            case "-I":
                method, head_only = "HEAD", True
            case _:
                assert word.startswith("http://"), f"{word!r} is an option of curl that this one does not know"
                url = word
    while True:
        parts = urlsplit(url)
        connection = HTTPConnection(parts.netloc, timeout=10)
        connection.request(method, url.removeprefix(f"http://{parts.netloc}"), body, headers)
        response = connection.getresponse()
        content = response.read().decode()
        connection.close()
        if response.status != 307 or not follow:
            break
        url = response.headers["Location"]
    if head_only:
        lines = [f"HTTP/1.1 {response.status} {response.reason}", *(f"{n}: {v}" for n, v in response.getheaders())]
        return "\r\n".join(lines) + "\r\n\r\n"
    return content
