use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use crate::limits::Place;

/// The body of an answer: whole, or sent in a way of its own.
pub(crate) type AnswerBody = Either<Full<Bytes>, Odd>;

/// A body that no real answer has.
pub(crate) enum Odd {
    Cut(Cut),
    Trickle(Trickle),
    Padded(Padded),
}

impl Body for Odd {
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
            Self::Padded(padded) => padded.blanks == 0 && padded.rest.is_empty(),
        }
    }

    /// This is what hyper makes the `Content-Length` of.
    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match self {
            Self::Cut(cut) => cut.promised,
            Self::Trickle(trickle) => trickle.rest.len() as u64,
            Self::Padded(padded) => padded.blanks + padded.rest.len() as u64,
        })
    }
}

/// Sends less than it promises, then has the connection closed.
pub(crate) fn cut(sent: Bytes, promised: u64) -> AnswerBody {
    Either::Right(Odd::Cut(Cut {
        sent: Some(sent),
        promised,
        // Set when it begins.
        end: Box::pin(sleep(Duration::ZERO)),
    }))
}

/// Sends bit by bit, and holds the place until the last bit is about to be sent, or nobody wants
/// it.
pub(crate) fn trickle(body: Bytes, over: Duration, place: Place) -> AnswerBody {
    let mut trickle = Trickle {
        pieces: u32::try_from(body.len().min(16)).unwrap_or(16),
        rest: body,
        began: Instant::now(),
        over,
        sent: 0,
        pause: Box::pin(sleep(Duration::ZERO)),
        place: Some(place),
    };
    trickle.pause = Box::pin(sleep_until(trickle.due()));
    Either::Right(Odd::Trickle(trickle))
}

/// Sends blanks first, and never has them all in memory.
pub(crate) fn padded(blanks: u64, body: Bytes) -> AnswerBody {
    Either::Right(Odd::Padded(Padded { blanks, rest: body }))
}

pub(crate) struct Cut {
    sent: Option<Bytes>,
    promised: u64,
    end: Pin<Box<Sleep>>,
}

impl Cut {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        if let Some(sent) = self.sent.take() {
            // An error drops what hyper has not written yet, so the client gets a moment to take
            // what is meant for it.
            let moment = Duration::from_millis(1);
            self.end.as_mut().reset(Instant::now() + moment);
            // An empty piece would be taken for the end.
            if !sent.is_empty() {
                return Poll::Ready(Ok(sent));
            }
        }
        ready!(self.end.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::other("cut, as the plan of faults wants it")))
    }
}

pub(crate) struct Trickle {
    rest: Bytes,
    pieces: u32,
    began: Instant,
    over: Duration,
    sent: u32,
    pause: Pin<Box<Sleep>>,
    place: Option<Place>,
}

impl Trickle {
    /// When the next piece is.
    fn due(&self) -> Instant {
        // Divided first: a long time must not overflow.
        let gone = self.over / self.pieces.max(1) * (self.sent + 1);
        let last = self.sent + 1 >= self.pieces;
        let gone = if last { self.over } else { gone };
        // A time beyond what the clock can tell is as good as never.
        let century = Duration::from_secs(100 * 365 * 24 * 60 * 60);
        self.began + gone.min(century)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        ready!(self.pause.as_mut().poll(cx));
        self.sent += 1;
        if self.sent >= self.pieces {
            // Before the client can see the end, or its next request might find no place.
            self.place = None;
            return Poll::Ready(Some(std::mem::take(&mut self.rest)));
        }
        let size = self.rest.len() / (self.pieces - self.sent + 1) as usize;
        let piece = self.rest.split_to(size);
        let due = self.due();
        self.pause.as_mut().reset(due);
        Poll::Ready(Some(piece))
    }
}

pub(crate) struct Padded {
    blanks: u64,
    rest: Bytes,
}

static BLANKS: [u8; 64 * 1024] = [b' '; 64 * 1024];

impl Padded {
    fn next(&mut self) -> Option<Bytes> {
        if self.blanks == 0 {
            let rest = std::mem::take(&mut self.rest);
            return (!rest.is_empty()).then_some(rest);
        }
        let count = usize::try_from(self.blanks).map_or(BLANKS.len(), |b| b.min(BLANKS.len()));
        self.blanks -= count as u64;
        Some(Bytes::from_static(&BLANKS[..count]))
    }
}
