//! The body of an answer: all of it at once, or a stream of events that lasts.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use fanlight_wire::limits::WATCHER_BEAT;
use http_body_util::Full;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::mpsc::Receiver;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// What a line of `text/event-stream` that says nothing looks like.
const BEAT: &[u8] = b": alive\n\n";

/// A whole body, or lines as they come with a sign of life in between. The stream ends when its sender is gone.
#[derive(Debug)]
pub enum Body {
    Whole(Full<Bytes>),
    Events { lines: Receiver<Bytes>, beat: Interval },
}

impl Body {
    /// A stream of events. The first sign of life leaves at once, so that a proxy sends the headers on.
    pub fn events(lines: Receiver<Bytes>) -> Self {
        let mut beat = interval(WATCHER_BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self::Events { lines, beat }
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::Whole(Full::default())
    }
}

impl From<Full<Bytes>> for Body {
    fn from(whole: Full<Bytes>) -> Self {
        Self::Whole(whole)
    }
}

impl From<Bytes> for Body {
    fn from(whole: Bytes) -> Self {
        Self::Whole(Full::new(whole))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(whole) => Pin::new(whole).poll_frame(cx),
            Self::Events { lines, beat } => match lines.poll_recv(cx) {
                Poll::Ready(line) => Poll::Ready(line.map(|line| Ok(Frame::data(line)))),
                Poll::Pending => beat.poll_tick(cx).map(|_| Some(Ok(Frame::data(Bytes::from_static(BEAT))))),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(whole) => whole.is_end_stream(),
            Self::Events { .. } => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(whole) => whole.size_hint(),
            Self::Events { .. } => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use tokio::sync::mpsc::channel;

    use super::*;

    #[tokio::test]
    async fn a_stream_begins_with_a_beat_and_ends_with_its_sender() {
        let (lines, receiver) = channel(4);
        let mut body = Body::events(receiver);
        let mut next = async || body.frame().await.map(|frame| frame.expect("infallible").into_data().expect("data"));
        assert_eq!(next().await.as_deref(), Some(BEAT));
        lines.send(Bytes::from_static(b"event: x\n\n")).await.expect("open");
        assert_eq!(next().await.as_deref(), Some(b"event: x\n\n".as_slice()));
        drop(lines);
        assert_eq!(next().await, None);
    }
}
