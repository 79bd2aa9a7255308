"""Where notifications may go: public addresses, and those networks that a setting allows.

A name is resolved once, all of its addresses are looked at, and the connection goes to one that was looked at: a name
that is bent in between (DNS rebinding) leads nowhere else.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# Ways into this machine or its own network that `is_global` counts as public: IPv4 in other clothes, a site's own
# translators and addresses, and cloud providers' agents that answer from every machine.
_NOT_PUBLIC = (
    ipaddress.IPv6Network("::/96"),
    ipaddress.IPv6Network("::ffff:0:0:0/96"),
    ipaddress.IPv6Network("64:ff9b:1::/48"),
    ipaddress.IPv6Network("fec0::/10"),
    ipaddress.IPv4Network("168.63.129.16/32"),
    ipaddress.IPv4Network("192.0.0.0/24"),
)


class BlockedError(Exception):
    """The address is none that notifications may go to. The message says which."""


def networks(text: str) -> tuple[Network, ...]:
    """Read ``127.0.0.0/8,10.1.2.3``.

    Raises:
        ValueError: it holds something else.
    """
    parts = (part.strip() for part in text.split(","))
    return tuple(ipaddress.ip_network(part) for part in parts if part)


def is_allowed(address: str, allowed: Sequence[Network]) -> bool:
    """Whether a connection to this address may be made."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    return any(ip in network for network in allowed) or all(
        each.is_global
        and not each.is_multicast
        and not any(each in network for network in _NOT_PUBLIC)
        for each in _meant(ip)
    )


def in_networks(address: str, allowed: Sequence[Network]) -> bool:
    """Whether a setting names it."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    return any(ip in network for network in allowed)


def _meant(
    ip: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """The address, and the one that is wrapped in it."""
    if isinstance(ip, ipaddress.IPv4Address):
        return [ip]
    wrapped = [ip.ipv4_mapped, ip.sixtofour, ip.teredo[1] if ip.teredo else None]
    if ip in _NAT64:
        wrapped.append(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF))
    if ip.ipv4_mapped is not None:
        return [ip.ipv4_mapped]
    return [ip, *(each for each in wrapped if each is not None)]


def resolve(host: str, port: int, allowed: Sequence[Network]) -> str:
    """An address of ``host`` that a connection may be made to. Blocks.

    Raises:
        BlockedError: one of its addresses is none that may be connected to.
        OSError: it has none.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(each[4][0]) for each in found]
    for address in addresses:
        if not is_allowed(address, allowed):
            raise BlockedError(
                f"{host} is {address}, which is not public; TACHO_ALERT_NETWORKS can allow it"
            )
    return addresses[0]
