//! The rows of all files as a stream, read by a thread of its own.

use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::thread;

use bigcommerce_ext::CustomerKey;
use futures_util::stream::Stream;
use tokio::sync::mpsc;

use super::place::{InputError, Place};
use super::{Input, Item};

/// Items that are sent together.
const BATCH_ITEMS: usize = 256;
/// Batches that are read ahead.
const BATCHES_AHEAD: usize = 8;

/// The rows of the input, in order; an error for each line or cell that can't be used.
pub type Rows = Items<Item>;
/// The customers of the input, in order.
pub type Customers = Items<Result<CustomerKey, InputError>>;

/// What follows a line.
enum Next {
    Line,
    File,
    /// Nothing: the rest of the input can't be read, or nobody wants it.
    End,
}

/// What a thread reads.
#[must_use = "streams do nothing unless polled"]
pub struct Items<T> {
    receiver: mpsc::Receiver<Message<T>>,
    batch: std::vec::IntoIter<T>,
    has_ended: bool,
}

enum Message<T> {
    Items(Vec<T>),
    /// The input has ended well. Without it, the thread has failed.
    End,
}

impl Input {
    /// Returns the rows. They are read a little ahead of the stream.
    pub fn rows(self) -> Rows {
        self.rows_from(0)
    }

    /// Returns the rows without the first ones. Lines that can't be used count.
    pub fn rows_from(self, skipped: u64) -> Rows {
        let progress = self.progress();
        let mut number = 0;
        self.read(move |lines, outbox: &Outbox<Item>| {
            let mut is_over = false;
            let before = number;
            let is_line = lines.next_line(&mut |item| {
                number += 1;
                is_over |= item.as_ref().is_err_and(InputError::is_fatal);
                if number > skipped {
                    is_over |= !outbox.push(item);
                }
            });
            progress.add_rows(number - before);
            match (is_over, is_line) {
                (true, _) => Next::End,
                (false, true) => Next::Line,
                (false, false) => Next::File,
            }
        })
    }

    /// Returns the customers of the lines.
    pub fn customers(self) -> Customers {
        let progress = self.progress();
        self.read(move |lines, outbox| match lines.next_customer() {
            None => Next::File,
            Some(customer) => {
                progress.add_rows(1);
                let is_over = customer.as_ref().is_err_and(InputError::is_fatal);
                match outbox.push(customer) && !is_over {
                    true => Next::Line,
                    false => Next::End,
                }
            }
        })
    }

    /// Starts a thread that reads the files, line by line.
    fn read<T: FromError + Send + 'static>(
        self,
        mut next_line: impl FnMut(&mut dyn super::Lines, &Outbox<T>) -> Next + Send + 'static,
    ) -> Items<T> {
        let (sender, receiver) = mpsc::channel(BATCHES_AHEAD);
        let outbox = Outbox {
            batch: Arc::default(),
            sender,
        };
        // Reading may wait for another program: what was read before is passed on.
        let waiting = outbox.clone();
        self.before_read.set(move || {
            waiting.flush();
        });
        let files: Vec<_> = self.files.into_iter().map(|file| file.body).collect();
        let read = move || {
            'input: for file in files {
                let mut lines = file.lines();
                loop {
                    match next_line(&mut *lines, &outbox) {
                        Next::Line => {}
                        Next::File => break,
                        Next::End => break 'input,
                    }
                }
            }
            if outbox.flush() {
                outbox.send(Message::End);
            }
        };
        // No task: the runtime would wait for a read that doesn't end.
        let thread = thread::Builder::new().name("input".to_owned()).spawn(read);
        let mut items = Items {
            receiver,
            batch: Vec::new().into_iter(),
            has_ended: false,
        };
        if let Err(error) = thread {
            items.fail(&format!("its thread can't start: {error}"));
        }
        items
    }
}

/// What a thread has read and not sent yet.
struct Outbox<T> {
    batch: Arc<Mutex<Vec<T>>>,
    sender: mpsc::Sender<Message<T>>,
}

impl<T> Clone for Outbox<T> {
    fn clone(&self) -> Self {
        Self {
            batch: Arc::clone(&self.batch),
            sender: self.sender.clone(),
        }
    }
}

impl<T> Outbox<T> {
    fn batch(&self) -> MutexGuard<'_, Vec<T>> {
        self.batch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns `false` if nobody receives any more.
    fn push(&self, item: T) -> bool {
        let mut batch = self.batch();
        batch.push(item);
        if batch.len() < BATCH_ITEMS {
            return true;
        }
        drop(batch);
        self.flush()
    }

    fn flush(&self) -> bool {
        let items = mem::take(&mut *self.batch());
        items.is_empty() || self.send(Message::Items(items))
    }

    fn send(&self, message: Message<T>) -> bool {
        self.sender.blocking_send(message).is_ok()
    }
}

/// An item that can say what is wrong with the input.
pub trait FromError {
    fn from_error(error: InputError) -> Self;
}

impl<R> FromError for Result<R, InputError> {
    fn from_error(error: InputError) -> Self {
        Err(error)
    }
}

impl<T: FromError> Items<T> {
    fn fail(&mut self, reason: &str) {
        let place = Place {
            file: "the input".into(),
            line: 0,
            column: None,
            attribute: "".into(),
            cells: None,
        };
        let error = InputError::fatal(place, reason);
        self.batch = vec![T::from_error(error)].into_iter();
        self.has_ended = true;
    }
}

impl<T: FromError + Unpin> Stream for Items<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        loop {
            if let Some(item) = self.batch.next() {
                return Poll::Ready(Some(item));
            }
            if self.has_ended {
                return Poll::Ready(None);
            }
            match ready!(self.receiver.poll_recv(cx)) {
                Some(Message::Items(items)) => self.batch = items.into_iter(),
                Some(Message::End) => self.has_ended = true,
                None => self.fail("its reading ended unexpectedly"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream::StreamExt as _;

    use super::*;

    #[tokio::test]
    async fn a_thread_that_ends_before_the_input_does_is_an_error() {
        let (sender, receiver) = mpsc::channel(1);
        let mut items: Rows = Items {
            receiver,
            batch: Vec::new().into_iter(),
            has_ended: false,
        };
        drop(sender);
        let error = items.next().await.expect("an item").expect_err("no row");
        assert!(error.is_fatal());
        assert!(items.next().await.is_none());
    }
}
