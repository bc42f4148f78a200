"""Another WebRTC stack joins without a browser.

A visitor and an agent on aiortc speak the documented signalling (docs/protocol.md, docs/api.md) with the relay:
the visitor shares a picture on the agent's invitation, and the agent decodes it.

Usage: aiortc_join.py RELAY_URL     prints one line of figures, exits non-zero when no picture was decoded in time.
"""

import asyncio
import json
import struct
import sys
import time
import urllib.request

import av
import websockets
from aiortc import RTCPeerConnection, RTCSessionDescription, VideoStreamTrack

HEADER = struct.Struct(">BBBBIIIHHII")  # docs/protocol.md, section 4
SIGNAL = 0x01
WIDTH, HEIGHT = 320, 240
FRAMES_WANTED = 30
BOUND_S = 30


class Bars(VideoStreamTrack):
    """A moving grey ramp, so that a decoded frame can be told from an empty one."""

    async def recv(self):
        pts, time_base = await self.next_timestamp()
        frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
        for index, plane in enumerate(frame.planes):
            level = (pts // 3000) % 128 + 64 if index == 0 else 128
            plane.update(bytes([level]) * (plane.line_size * plane.height))
        frame.pts, frame.time_base = pts, time_base
        return frame


class Client:
    """One participant: signals over a WebSocket, media over an RTCPeerConnection."""

    def __init__(self, socket):
        self.socket = socket
        self.waiting = []

    @classmethod
    async def join(cls, url, connect, ticket):
        address = url.replace("http", "ws", 1) + connect["websocket"]
        socket = await websockets.connect(address, subprotocols=["fanlight.1"], origin=url)
        client = cls(socket)
        await client.say({"t": "hello", "schema": 1, "ticket": ticket})
        await client.hear("welcome")
        return client

    async def say(self, signal):
        payload = json.dumps(signal).encode()
        header = HEADER.pack(1, SIGNAL, 0, 0, 0, 0, 0, 0, 1, 0, len(payload))
        await self.socket.send(header + payload)

    async def hear(self, tag):
        """The next signal with this tag; others are kept."""
        for signal in self.waiting:
            if signal["t"] == tag:
                self.waiting.remove(signal)
                return signal
        while True:
            message = await self.socket.recv()
            kind = HEADER.unpack_from(message)[1]
            if kind != SIGNAL:
                continue
            signal = json.loads(message[HEADER.size:])
            if signal["t"] == "denied":
                raise RuntimeError(f"refused: {signal}")
            if signal["t"] == tag:
                return signal
            self.waiting.append(signal)

    async def negotiate(self, peer):
        await peer.setLocalDescription(await peer.createOffer())
        await self.say({"t": "offer", "sdp": peer.localDescription.sdp})
        answer = await self.hear("answer")
        await peer.setRemoteDescription(RTCSessionDescription(answer["sdp"], "answer"))


def call(url, path, body, token=None):
    headers = {"content-type": "application/json"}
    if token:
        headers["authorization"] = f"Bearer {token}"
    request = urllib.request.Request(url + path, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=5) as answer:
        return json.load(answer)


def profile(peer):
    """What protects the media, as this side's TLS library sees it; the public interface does not tell."""
    transport = peer.getTransceivers()[0].receiver.transport
    return transport._ssl.get_selected_srtp_profile().decode()


async def run(url):
    demo = json.load(urllib.request.urlopen(url + "/demo/config.json", timeout=5))
    key = call(url, "/v1/keys", {"group": demo["group"]})
    visitor = await Client.join(url, key["connect"], key["ticket"])

    who = demo["agents"][0]
    login = call(url, "/v1/login", {"group": demo["group"], "agent": who["agent"], "secret": who["secret"]})
    join = call(url, "/v1/join", {"key": key["key"]}, login["token"])
    agent = await Client.join(url, join["connect"], join["ticket"])

    ask = await visitor.hear("consent.ask")
    await visitor.say({"t": "consent", "ask": ask["ask"], "accept": True, "words": ask["words"]})
    await agent.hear("session.stage")

    watching, sharing = RTCPeerConnection(), RTCPeerConnection()
    watching.addTransceiver("video", direction="recvonly")
    picture = asyncio.get_running_loop().create_future()
    watching.on("track", lambda track: picture.set_result(track))
    await agent.negotiate(watching)

    sender = sharing.addTransceiver(Bars(), direction="sendonly")
    await visitor.negotiate(sharing)

    await agent.say({"t": "share.invite"})
    invited = await visitor.hear("share.invited")
    grant = invited["grant"]
    await visitor.say({"t": "share.accept", "grant": grant, "words": invited["words"]})
    began = time.monotonic()
    await visitor.say({"t": "share.start", "mid": sender.mid, "surface": "browser", "grant": grant})

    track = await picture
    first = await track.recv()
    first_ms = (time.monotonic() - began) * 1000
    assert (first.width, first.height) == (WIDTH, HEIGHT), f"{first.width}x{first.height}"
    levels = set()
    for _ in range(FRAMES_WANTED):
        frame = await track.recv()
        levels.add(bytes(frame.planes[0])[0])
    assert len(levels) > FRAMES_WANTED // 3, f"the picture does not move: {sorted(levels)}"
    profiles = {profile(watching), profile(sharing)}
    assert profiles <= {"SRTP_AEAD_AES_128_GCM", "SRTP_AEAD_AES_256_GCM"}, f"media is protected by {profiles}"
    print(
        f"aiortc: first frame after {first_ms:.0f} ms, {FRAMES_WANTED} frames of {WIDTH}x{HEIGHT} decoded, "
        f"{', '.join(sorted(profiles))}"
    )
    await asyncio.gather(watching.close(), sharing.close())


if __name__ == "__main__":
    asyncio.run(asyncio.wait_for(run(sys.argv[1]), BOUND_S))
