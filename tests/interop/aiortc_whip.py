"""Another WebRTC stack publishes by WHIP and plays by WHEP, over nothing but HTTP and WebRTC (docs/whip-whep.md).

One viewer comes before the publisher and one after it; then the second restarts ICE and goes on; at last everybody
deletes what it made.

Usage: aiortc_whip.py WHIP_URL WHEP_URL PUBLISH_TOKEN SUBSCRIBE_TOKEN
Prints one line of figures, exits non-zero when no picture was decoded in time.
"""

import asyncio
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

import av
from aiortc import RTCPeerConnection, RTCSessionDescription, VideoStreamTrack

WIDTH, HEIGHT = 320, 240
FRAMES_WANTED = 30
BOUND_S = 40


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


def call(method, url, token, body=None, **headers):
    """Status, headers and text of an answer; a refusal is an answer too."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, body and body.encode(), named, method=method)
    request.add_header("authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.headers, refusal.read().decode()


class Resource:
    """One PeerConnection and the resource that the relay made for it."""

    def __init__(self, endpoint, token):
        self.endpoint, self.token = endpoint, token
        self.peer = RTCPeerConnection()
        self.track = None
        self.peer.on("track", self.note)

    def note(self, track):
        self.track = track

    async def open(self):
        await self.peer.setLocalDescription(await self.peer.createOffer())
        offer = self.peer.localDescription.sdp
        status, headers, answer = await asyncio.to_thread(
            call, "POST", self.endpoint, self.token, offer, content_type="application/sdp")
        assert status == 201, f"{status}: {answer}"
        assert headers["content-type"] == "application/sdp" and headers["etag"], headers
        assert "a=candidate:" in answer, "every candidate is in the answer"
        self.url = urllib.parse.urljoin(self.endpoint, headers["location"])
        self.tag, self.offer = headers["etag"], offer
        await self.peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))

    async def patch(self, fragment, tag):
        return await asyncio.to_thread(
            call, "PATCH", self.url, self.token, fragment,
            content_type="application/trickle-ice-sdpfrag", if_match=tag)

    async def close(self):
        status, _, text = await asyncio.to_thread(call, "DELETE", self.url, self.token)
        assert status == 200, f"{status}: {text}"
        again, _, _ = await asyncio.to_thread(call, "DELETE", self.url, self.token)
        assert again == 404, again
        await self.peer.close()

    async def decoded(self, count):
        """Decodes that many frames and looks whether they move; milliseconds until the first."""
        began, levels = time.monotonic(), set()
        while self.track is None:
            await asyncio.sleep(0.01)
        first_ms = None
        for _ in range(count):
            frame = await self.track.recv()
            first_ms = first_ms or (time.monotonic() - began) * 1000
            assert (frame.width, frame.height) == (WIDTH, HEIGHT), f"{frame.width}x{frame.height}"
            levels.add(bytes(frame.planes[0])[0])
        assert len(levels) > count // 3, f"the picture does not move: {sorted(levels)}"
        return first_ms


def viewer(endpoint, token):
    resource = Resource(endpoint, token)
    resource.peer.addTransceiver("video", direction="recvonly")
    return resource


async def changes(resource):
    """Trickle, a stale tag, no tag, an ICE restart: what a resource answers to each."""
    credentials = re.search(r"a=ice-ufrag:.*\r\na=ice-pwd:.*\r\n", resource.offer)[0]
    trickle = credentials + "m=video 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\na=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n"
    assert (await resource.patch(trickle, resource.tag))[0] == 204
    assert (await resource.patch(trickle, '"stale"'))[0] == 412
    fresh = "a=ice-ufrag:freshname\r\na=ice-pwd:a-fresh-password-of-the-client\r\n"
    status, headers, fragment = await resource.patch(fresh, "*")
    assert status == 200, f"{status}: {fragment}"
    assert headers["etag"] != resource.tag and headers["etag"].strip('"') in fragment, (headers["etag"], fragment)
    assert "a=candidate:" in fragment and "a=ice-pwd:" in fragment, fragment


async def run(whip, whep, publish_token, subscribe_token):
    early, late, other = (viewer(whep, subscribe_token) for _ in range(3))
    await early.open()
    publisher = Resource(whip, publish_token)
    publisher.peer.addTransceiver(Bars(), direction="sendonly")
    await publisher.open()
    early_ms = await early.decoded(FRAMES_WANTED)
    await late.open()
    late_ms = await late.decoded(FRAMES_WANTED)
    await other.open()
    await changes(other)
    status, _, text = await asyncio.to_thread(
        call, "POST", whip, subscribe_token, publisher.offer, content_type="application/sdp")
    assert status == 403, f"whoever may only watch may not publish: {status} {text}"
    await asyncio.gather(*(resource.close() for resource in (early, late, other, publisher)))
    print(
        f"aiortc over WHIP and WHEP: first frame after {early_ms:.0f} ms for who waited, {late_ms:.0f} ms for who came "
        f"later, {2 * FRAMES_WANTED} frames of {WIDTH}x{HEIGHT} decoded"
    )


if __name__ == "__main__":
    asyncio.run(asyncio.wait_for(run(*sys.argv[1:5]), BOUND_S))
