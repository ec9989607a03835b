use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::Response;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use crate::in_flight_slot::InFlightSlot;
use crate::wire::ApiResponse;

pub(crate) type ResponseBody = Either<Full<Bytes>, FaultyBody>;

/// Returns the response as hyper sends it.
pub(crate) fn into_http(response: ApiResponse) -> Response<ResponseBody> {
    with_body(response, |body| Either::Left(Full::new(body)))
}

/// Returns the response with a body that is sent in a faulty way.
pub(crate) fn into_faulty_http(
    response: ApiResponse,
    body: impl FnOnce(Bytes) -> FaultyBody,
) -> Response<ResponseBody> {
    with_body(response, |whole| Either::Right(body(whole)))
}

fn with_body(
    response: ApiResponse,
    body: impl FnOnce(Bytes) -> ResponseBody,
) -> Response<ResponseBody> {
    let mut http = Response::new(body(response.body));
    *http.status_mut() = response.status;
    *http.headers_mut() = response.headers;
    http
}

/// A body that is sent in a way that a fault requires.
pub(crate) enum FaultyBody {
    Cut(CutBody),
    Trickle(TrickleBody),
    Padded(PaddedBody),
}

impl FaultyBody {
    /// Sends less than it promises, then closes the connection.
    pub(crate) fn cut(sent: Bytes, promised: u64) -> Self {
        Self::Cut(CutBody {
            sent: Some(sent),
            promised,
            // Reset when the body has been sent.
            close: Box::pin(sleep(Duration::ZERO)),
        })
    }

    /// Sends nothing, and closes the connection after `stall`.
    pub(crate) fn stalled(promised: u64, stall: Duration) -> Self {
        Self::Cut(CutBody {
            sent: None,
            promised,
            close: Box::pin(sleep(stall)),
        })
    }

    /// Sends the body in pieces. Holds the slot until just before the last piece, or until the
    /// client disconnects.
    pub(crate) fn trickle(body: Bytes, over: Duration, slot: Option<InFlightSlot>) -> Self {
        let mut trickle = TrickleBody {
            pieces: u32::try_from(body.len().min(16)).unwrap_or(16),
            rest: body,
            started: Instant::now(),
            over,
            sent: 0,
            pause: Box::pin(sleep(Duration::ZERO)),
            slot,
        };
        trickle.pause = Box::pin(sleep_until(trickle.next_piece_at()));
        Self::Trickle(trickle)
    }

    /// Sends spaces before the body, without holding them all in memory.
    pub(crate) fn padded(spaces: u64, body: Bytes) -> Self {
        Self::Padded(PaddedBody { spaces, rest: body })
    }
}

impl Body for FaultyBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            Self::Cut(cut) => cut.poll(cx).map(|end| Some(end.map(Frame::data))),
            Self::Trickle(trickle) => trickle.poll(cx).map(|piece| piece.map(Frame::data).map(Ok)),
            Self::Padded(padded) => Poll::Ready(padded.next().map(Frame::data).map(Ok)),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Cut(_) => false,
            Self::Trickle(trickle) => trickle.rest.is_empty(),
            Self::Padded(padded) => padded.spaces == 0 && padded.rest.is_empty(),
        }
    }

    /// Hyper derives `Content-Length` from this.
    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match self {
            Self::Cut(cut) => cut.promised,
            Self::Trickle(trickle) => trickle.rest.len() as u64,
            Self::Padded(padded) => padded.spaces + padded.rest.len() as u64,
        })
    }
}

pub(crate) struct CutBody {
    sent: Option<Bytes>,
    promised: u64,
    close: Pin<Box<Sleep>>,
}

impl CutBody {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        if let Some(sent) = self.sent.take() {
            // An error discards what hyper has not written yet, so give it a moment to write.
            let moment = Duration::from_millis(1);
            self.close.as_mut().reset(Instant::now() + moment);
            // Hyper takes an empty frame for the end of the body.
            if !sent.is_empty() {
                return Poll::Ready(Ok(sent));
            }
        }
        ready!(self.close.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::other("body cut off by a fault")))
    }
}

pub(crate) struct TrickleBody {
    rest: Bytes,
    pieces: u32,
    started: Instant,
    over: Duration,
    sent: u32,
    pause: Pin<Box<Sleep>>,
    slot: Option<InFlightSlot>,
}

impl TrickleBody {
    fn next_piece_at(&self) -> Instant {
        // Dividing first avoids an overflow for long durations.
        let elapsed = self.over / self.pieces.max(1) * (self.sent + 1);
        let is_last = self.sent + 1 >= self.pieces;
        let elapsed = if is_last { self.over } else { elapsed };
        // Stays within what an `Instant` can represent.
        let century = Duration::from_secs(100 * 365 * 24 * 60 * 60);
        self.started + elapsed.min(century)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        ready!(self.pause.as_mut().poll(cx));
        self.sent += 1;
        if self.sent >= self.pieces {
            // Released before the client can see the end, so that its next request is admitted.
            self.slot = None;
            return Poll::Ready(Some(std::mem::take(&mut self.rest)));
        }
        let size = self.rest.len() / (self.pieces - self.sent + 1) as usize;
        let piece = self.rest.split_to(size);
        let next_piece_at = self.next_piece_at();
        self.pause.as_mut().reset(next_piece_at);
        Poll::Ready(Some(piece))
    }
}

pub(crate) struct PaddedBody {
    spaces: u64,
    rest: Bytes,
}

static SPACES: [u8; 64 * 1024] = [b' '; 64 * 1024];

impl PaddedBody {
    fn next(&mut self) -> Option<Bytes> {
        if self.spaces == 0 {
            let rest = std::mem::take(&mut self.rest);
            return (!rest.is_empty()).then_some(rest);
        }
        let count = usize::try_from(self.spaces).map_or(SPACES.len(), |n| n.min(SPACES.len()));
        self.spaces -= count as u64;
        Some(Bytes::from_static(&SPACES[..count]))
    }
}
