"""aioice, an ICE and TURN client written by others in Python, against the relay under test.

    aioice_client.py WAY…

A WAY is `TRANSPORT:PORT`, where TRANSPORT is udp, tcp or tls: how a client reaches the TURN server on 127.0.0.1.
With one WAY a client sends to a UDP echo of our own and hears each payload again. With two WAYS the clients are
joined: first over their relayed addresses alone, then by a whole ICE connection that may use relays only. It says in
one line of JSON what was used and how much came back.
"""

import asyncio
import json
import socket
import ssl
import sys

from aioice import Candidate, Connection, TransportPolicy, turn

USER, PASSWORD = "test", "secret"
# Every length that a stream pads differently, and more than a frame of Ethernet holds. asyncio sends no empty datagram.
LENGTHS = [1, 2, 3, 4, 5, 159, 160, 161, 1200, 1472, 9000]
ROUNDS = 5
PATIENCE = 20


def anyone() -> ssl.SSLContext:
    """The certificate is the server's own; who it is is not what is tried here."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Way:
    def __init__(self, text: str) -> None:
        self.transport, port = text.split(":")
        self.server = ("127.0.0.1", int(port))

    @property
    def options(self) -> dict:
        return {
            "transport": "udp" if self.transport == "udp" else "tcp",
            "ssl": anyone() if self.transport == "tls" else None,
        }


class Mailbox(asyncio.DatagramProtocol):
    """Keeps what arrives; as an echo it sends it back instead."""

    def __init__(self, echoes: bool = False) -> None:
        self.echoes = echoes
        self.arrived: asyncio.Queue = asyncio.Queue()

    def connection_made(self, transport) -> None:
        self.transport = transport

    def datagram_received(self, data, addr) -> None:
        if self.echoes:
            self.transport.sendto(data, addr)
        else:
            self.arrived.put_nowait((bytes(data), addr))

    def error_received(self, exc) -> None:
        self.arrived.put_nowait((exc, None))

    async def next(self):
        data, addr = await asyncio.wait_for(self.arrived.get(), PATIENCE)
        if isinstance(data, Exception):
            raise data
        return data, addr


async def allocate(way: Way):
    """A relayed endpoint, and what truly carries it."""
    endpoint, mailbox = await turn.create_turn_endpoint(
        Mailbox, way.server, USER, PASSWORD, **way.options
    )
    carrier = endpoint._TurnTransport__inner_protocol.transport
    inside = carrier.get_extra_info("ssl_object")
    kind = carrier.get_extra_info("socket").type
    used = inside.version() if inside else "UDP" if kind == socket.SOCK_DGRAM else "TCP"
    return endpoint, mailbox, used


def payloads():
    for round_ in range(ROUNDS):
        for length in LENGTHS:
            yield bytes((n * 7 + round_ + length) % 256 for n in range(length))


async def to_an_echo(way: Way) -> dict:
    loop = asyncio.get_running_loop()
    echo, _ = await loop.create_datagram_endpoint(
        lambda: Mailbox(echoes=True), local_addr=("127.0.0.1", 0)
    )
    peer = echo.get_extra_info("sockname")
    endpoint, mailbox, used = await allocate(way)
    back = 0
    for payload in payloads():
        endpoint.sendto(payload, peer)
        assert await mailbox.next() == (payload, peer)
        back += 1
    endpoint.close()
    echo.close()
    return {"used": [used], "back": back}


async def to_each_other(ways: list[Way]) -> dict:
    ends = [await allocate(way) for way in ways]
    addresses = [end.get_extra_info("sockname") for end, _, _ in ends]
    back = 0
    # Both must have bound a channel before the other is heard; what came too early is lost, as with any peer.
    for (end, _, _), other in zip(ends, reversed(addresses)):
        end.sendto(b"open", other)
        await end._TurnTransport__inner_protocol.send_data(b"open", other)
    for mine, other in ((0, 1), (1, 0)):
        for payload in payloads():
            ends[mine][0].sendto(payload, addresses[other])
            while (heard := await ends[other][1].next())[0] == b"open":
                pass
            assert heard == (payload, addresses[mine])
            back += 1
    for end, _, _ in ends:
        end.close()
    return {"used": [used for _, _, used in ends], "back": back}


async def by_ice(ways: list[Way]) -> dict:
    """A whole ICE connection in which only relayed candidates are offered."""
    ends = [
        Connection(
            ice_controlling=controlling,
            turn_server=way.server,
            turn_username=USER,
            turn_password=PASSWORD,
            turn_ssl=way.options["ssl"] or False,
            turn_transport=way.options["transport"],
            transport_policy=TransportPolicy.RELAY,
            use_ipv6=False,
        )
        for way, controlling in zip(ways, (True, False))
    ]
    for end in ends:
        await end.gather_candidates()
    kinds = set()
    for one, other in (ends, reversed(ends)):
        for candidate in one.local_candidates:
            kinds.add(candidate.type)
            await other.add_remote_candidate(Candidate.from_sdp(candidate.to_sdp()))
        await other.add_remote_candidate(None)
        other.remote_username = one.local_username
        other.remote_password = one.local_password
    await asyncio.wait_for(asyncio.gather(*(end.connect() for end in ends)), PATIENCE)
    back = 0
    for mine, other in (ends, reversed(ends)):
        for n in range(20):
            await mine.send(b"over ice %d" % n)
            heard = await asyncio.wait_for(other.recv(), PATIENCE)
            assert heard == b"over ice %d" % n
            back += 1
    for end in ends:
        await end.close()
    return {"kinds": sorted(kinds), "over_ice": back}


async def main(texts: list[str]) -> None:
    ways = [Way(text) for text in texts]
    if len(ways) == 1:
        result = await to_an_echo(ways[0])
    else:
        result = await to_each_other(ways)
        result |= await by_ice(ways)
    print(json.dumps(result))


asyncio.run(main(sys.argv[1:]))
