"""The few HTTP requests that a tab makes beside its websocket: a cookie, an upload, a download."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request
import uuid

TIMEOUT = 60.0


async def xsrf_cookie(address: str) -> str:
    """Give the token that the server wants with an upload, as it gives it to any tab."""

    def ask() -> str:
        with urllib.request.urlopen(f"{address}/_stcore/health", timeout=TIMEOUT) as answer:
            return answer.headers.get("Set-Cookie", "").partition("=")[2].partition(";")[0]

    return await asyncio.to_thread(ask)


async def put_file(address: str, path: str, cookie: str, name: str, content: bytes) -> int:
    """Send a file as a form, and give the status of the answer."""
    boundary = uuid.uuid4().hex
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
    body = f"{head}Content-Type: text/plain\r\n\r\n".encode() + content + f"\r\n--{boundary}--\r\n".encode()
    headers = {
        "Content-Type": f"multipart/form-data; boundary={boundary}",
        "X-Xsrftoken": cookie,
        "Cookie": f"_streamlit_xsrf={cookie}",
    }
    request = urllib.request.Request(f"{address}{path}", body, headers, method="PUT")

    def send() -> int:
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    return await asyncio.to_thread(send)


async def get(address: str, path: str) -> bytes:
    """Give what an address of the server holds."""

    def ask() -> bytes:
        with urllib.request.urlopen(f"{address}{path}", timeout=TIMEOUT) as answer:
            content: bytes = answer.read()
            return content

    return await asyncio.to_thread(ask)
