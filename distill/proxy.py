"""How the environment has an address reached: `http_proxy`, `https_proxy`, `no_proxy` and their like."""

from __future__ import annotations

from typing import TypedDict
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp

from reward_plugins.addresses import is_loopback


class Proxy(TypedDict, total=False):
    """The keys of a request of `aiohttp`'s that send it by a proxy; none of them sends it straight."""

    proxy: str
    proxy_headers: dict[str, str]
    headers: dict[str, str]


def proxy_of(url: str) -> Proxy:
    """The proxy to `url`, asked for once: left to itself, the library asks in a thread before each request.

    This machine is never reached by a proxy. Name and password of a proxy go into its header and nowhere else.
    """
    address = urlsplit(url)
    host = address.hostname or ""
    proxy = getproxies().get(address.scheme)
    if not proxy or is_loopback(host) or proxy_bypass(host):
        return {}
    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    reached = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    if parts.username is None:
        return {"proxy": reached}
    basic = {"Proxy-Authorization": aiohttp.encode_basic_auth(unquote(parts.username), unquote(parts.password or ""))}
    # Behind TLS only what opens the tunnel is for the proxy; else it reads the request itself.
    return (
        {"proxy": reached, "proxy_headers": basic}
        if address.scheme == "https"
        else {"proxy": reached, "headers": basic}
    )
