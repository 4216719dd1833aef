"""Fetching a video from a URL that a client names: only from public addresses, each redirect checked anew."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import TYPE_CHECKING

from vlmkit.errors import shown
from vlmkit.guard import error_text
from vlmkit.serve.api_errors import ApiError, bad_request
from vlmkit.serve.limits import HeldBytes, too_large

if TYPE_CHECKING:
    import httpx

__all__ = ["fetch_public", "is_public"]

_MOST_REDIRECTS = 5
_IPV6_IN_USE = ipaddress.ip_network("2000::/3")


async def fetch_public(url: str, param: str, max_bytes: int, held: HeldBytes) -> bytes:
    """Return what lies behind an `http(s)://` URL.

    The host's addresses are looked up once and the connection goes to one of those that were checked. Proxies of the
    environment are not used: they would go wherever a URL says. An ApiError where it cannot be fetched.
    """
    import httpx

    try:
        async with httpx.AsyncClient(trust_env=False, timeout=None) as client:  # noqa: S113 -- the request's deadline
            place = httpx.URL(url)
            for _ in range(_MOST_REDIRECTS + 1):
                request = await _request(client, place, param)
                response = await client.send(request, stream=True)
                try:
                    if not response.has_redirect_location:
                        return await _content(response, param, max_bytes, held)
                    place = place.join(response.headers["Location"])
                finally:
                    await response.aclose()
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, ValueError) as error:
        raise _refused(param, f"it cannot be fetched: {error_text(error)}") from None
    raise _refused(param, f"it was redirected more than {_MOST_REDIRECTS} times")


def is_public(address: str) -> bool:
    """Return whether an IP address belongs to the public internet, and not to this machine or its networks."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address) and (ip not in _IPV6_IN_USE or ip.sixtofour or ip.teredo):
        return False  # what wraps an IPv4 address, e.g. of this machine, is refused too
    return ip.is_global and not ip.is_multicast


async def _request(client: httpx.AsyncClient, url: httpx.URL, param: str) -> httpx.Request:
    """Return the request to a checked address of the URL's host."""
    if url.scheme not in ("http", "https") or not url.host:
        raise _refused(param, f"expected a URL of http or https, found {shown(str(url))}")
    try:
        found = await asyncio.get_running_loop().getaddrinfo(url.host, url.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise _refused(param, f"there is no host {shown(url.host)}: {error_text(error)}") from None
    addresses = [str(each[4][0]) for each in found]
    if not addresses or not all(map(is_public, addresses)):
        raise _refused(param, f"{shown(url.host)} is no public host, and only those are asked")
    headers = {"Host": url.netloc.decode("ascii"), "Accept-Encoding": "identity"}
    extensions = {"sni_hostname": url.raw_host.decode("ascii")}
    return client.build_request("GET", url.copy_with(host=addresses[0]), headers=headers, extensions=extensions)


async def _content(response: httpx.Response, param: str, max_bytes: int, held: HeldBytes) -> bytes:
    if response.status_code != 200:
        raise _refused(param, f"its server answers {response.status_code}")
    content = bytearray()
    async for chunk in response.aiter_bytes():
        if len(content) + len(chunk) > max_bytes:
            raise too_large(max_bytes)
        held.add(len(chunk))
        content += chunk
    return bytes(content)


def _refused(param: str, message: str) -> ApiError:
    return bad_request(f"{param}: {message}", param, "video_not_fetched")
