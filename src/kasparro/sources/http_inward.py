"""Where an answer may not lead: to this machine itself, or to what only this machine sees of its cloud.

A redirect and the address of a next page are said by the other side. One that points inward would have Kasparro ask,
from where it stands, what the other side cannot: a server that listens on loopback only, or the metadata of a cloud,
which hands out credentials at a link-local address.
"""

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address

from kasparro.errors import Broken
from kasparro.sources.http_url import Origin, origin

_METADATA = frozenset({ip_address("fd00:ec2::254"), ip_address("100.100.100.200")})
"""Where clouds serve their metadata without a link-local address: Amazon's by IPv6, Alibaba's."""


def check_inward(url: str, home: Origin | None, place: str) -> None:
    """Refuse an address that points inward, unless the source itself does.

    Names are not resolved: who can make a name of their own point anywhere must be kept out by the network.

    Raises:
        Broken: it does; `place` is how the request is named.
    """
    host = origin(url).host
    if home is None or host == home.host or not is_inward(host) or is_inward(home.host):
        return
    raise Broken(
        f"{place} is not asked: an answer of {home.host} leads to {host}, an address of this machine or of its cloud. "
        "If that is meant, set `url` to it"
    )


def is_inward(host: str) -> bool:
    """Tell whether a host is this machine, or is link-local, in any of the ways in which it can be written."""
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    address = _address(name)
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address is not None and (
        address.is_loopback or address.is_link_local or address.is_unspecified or address in _METADATA
    )


def _address(name: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(name.partition("%")[0])
    except ValueError:
        pass  # 127.1, 2130706433 and 0x7f000001 are addresses, too, to whoever connects
    try:
        return IPv4Address(socket.inet_aton(name))
    except (OSError, UnicodeError):
        return None
