"""Bodies that are no JSON: invented texts are sent as they are."""

import schemathesis


@schemathesis.serializer("application/sdp", "application/trickle-ice-sdpfrag")
def text(_context, value):
    return value if isinstance(value, bytes) else str(value).encode()
