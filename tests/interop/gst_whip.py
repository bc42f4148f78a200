"""GStreamer's webrtcbin publishes by WHIP and plays by WHEP (docs/whip-whep.md).

Needs what Debian packages: python3-gi gir1.2-gst-plugins-bad-1.0 gstreamer1.0-plugins-good gstreamer1.0-plugins-bad
gstreamer1.0-nice. Run with the system's Python.

Usage: gst_whip.py WHIP_URL WHEP_URL PUBLISH_TOKEN SUBSCRIBE_TOKEN
Prints one line of figures, exits non-zero when no picture was decoded in time.
"""

import functools
import hashlib
import re
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import Gst, GstSdp, GstWebRTC  # noqa: E402

FRAMES_WANTED = 60
BOUND_S = 30
PUBLISH = (
    "videotestsrc is-live=true ! video/x-raw,width=320,height=240,framerate=30/1 ! vp8enc deadline=1 keyframe-max-dist=60 ! "
    "rtpvp8pay pt=96 ! application/x-rtp,media=video,encoding-name=VP8,payload=96 ! webrtcbin name=rtc bundle-policy=max-bundle"
)
VP8 = "application/x-rtp,media=video,encoding-name=VP8,clock-rate=90000,payload=96"


@functools.cache
def certificate():
    """One fresh ECDSA certificate with its key. GStreamer makes RSA ones by itself, which the relay does not take."""
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc", "-days", "7"]
    with tempfile.TemporaryDirectory() as folder:
        key = f"{folder}/key.pem"
        pem = subprocess.run([*make, "-subj", "/CN=WebRTC", "-keyout", key], check=True, capture_output=True, text=True).stdout
        with open(key, encoding="ascii") as file:
            return pem + file.read()


def fingerprint():
    """RFC 8122, of that certificate: webrtcbin still names the one that it would have made."""
    der = ssl.PEM_cert_to_DER_cert(certificate().split("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n")
    return hashlib.sha256(der).digest().hex(":").upper()


def certified(_, __, element):
    if element.get_factory() and element.get_factory().get_name() == "dtlssrtpdec":
        element.set_property("pem", certificate())


class Resource:
    """One pipeline with one webrtcbin, and the resource that the relay made for it."""

    def __init__(self, pipeline, endpoint, token):
        self.pipeline, self.endpoint, self.token = pipeline, endpoint, token
        self.rtc = pipeline.get_by_name("rtc")
        self.url = None
        self.rtc.connect("deep-element-added", certified)
        self.rtc.connect("notify::ice-gathering-state", self.gathered)
        self.rtc.connect("on-negotiation-needed", self.offer)

    def offer(self, rtc):
        promise = Gst.Promise.new_with_change_func(self.offered, rtc)
        rtc.emit("create-offer", None, promise)

    def offered(self, promise, rtc):
        reply = promise.get_reply()
        rtc.emit("set-local-description", reply.get_value("offer"), Gst.Promise.new())

    def gathered(self, rtc, _):
        complete = rtc.get_property("ice-gathering-state") == GstWebRTC.WebRTCICEGatheringState.COMPLETE
        if complete and self.url is None:
            self.url = ""
            threading.Thread(target=self.post, daemon=True).start()

    def post(self):
        sdp = self.rtc.get_property("local-description").sdp.as_text()
        sdp = re.sub(r"a=fingerprint:.*", f"a=fingerprint:sha-256 {fingerprint()}", sdp)
        headers = {"authorization": f"Bearer {self.token}", "content-type": "application/sdp"}
        request = urllib.request.Request(self.endpoint, sdp.encode(), headers, method="POST")
        with urllib.request.urlopen(request, timeout=5) as made:
            self.url = urllib.parse.urljoin(self.endpoint, made.headers["location"])
            text = made.read()
        _, message = GstSdp.SDPMessage.new()
        GstSdp.sdp_message_parse_buffer(text, message)
        answer = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, message)
        self.rtc.emit("set-remote-description", answer, Gst.Promise.new())

    def close(self):
        headers = {"authorization": f"Bearer {self.token}"}
        with urllib.request.urlopen(urllib.request.Request(self.url, None, headers, method="DELETE"), timeout=5) as gone:
            assert gone.status == 200
        self.pipeline.set_state(Gst.State.NULL)


class Player(Resource):
    """Counts the frames it decodes."""

    def __init__(self, endpoint, token):
        pipeline = Gst.Pipeline.new()
        rtc = Gst.ElementFactory.make("webrtcbin", "rtc")
        rtc.set_property("bundle-policy", GstWebRTC.WebRTCBundlePolicy.MAX_BUNDLE)
        pipeline.add(rtc)
        rtc.emit("add-transceiver", GstWebRTC.WebRTCRTPTransceiverDirection.RECVONLY, Gst.Caps.from_string(VP8))
        rtc.connect("pad-added", self.play)
        self.frames, self.first = 0, None
        super().__init__(pipeline, endpoint, token)

    def play(self, _, pad):
        decoder = Gst.parse_bin_from_description("rtpvp8depay ! vp8dec ! fakesink name=out signal-handoffs=true sync=false", True)
        self.pipeline.add(decoder)
        decoder.get_by_name("out").connect("handoff", self.seen)
        decoder.sync_state_with_parent()
        pad.link(decoder.get_static_pad("sink"))

    def seen(self, *_):
        self.first = self.first or time.monotonic()
        self.frames += 1


def run(whip, whep, publish_token, subscribe_token):
    Gst.init(None)
    certificate()  # made once, before there are threads that want it
    publisher = Resource(Gst.parse_launch(PUBLISH), whip, publish_token)
    player = Player(whep, subscribe_token)
    began = time.monotonic()
    for resource in (publisher, player):
        resource.pipeline.set_state(Gst.State.PLAYING)
    while player.frames < FRAMES_WANTED:
        assert time.monotonic() < began + BOUND_S, f"{player.frames} frames decoded"
        time.sleep(0.05)
    player.close()
    publisher.close()
    first_ms = (player.first - began) * 1000
    print(f"GStreamer over WHIP and WHEP: first frame after {first_ms:.0f} ms, {player.frames} frames decoded")


if __name__ == "__main__":
    run(*sys.argv[1:5])
