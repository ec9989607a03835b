//! The count of the redirects that were followed.
//!
//! reqwest asks the redirect policy while the request is polled, but tells it nothing of the
//! request. So the policy counts per thread, and whoever polls a request reads the difference.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;

thread_local! {
    static FOLLOWED: Cell<u64> = const { Cell::new(0) };
}

/// Records that the redirect policy lets a redirect be followed.
pub(crate) fn record_followed() {
    FOLLOWED.set(FOLLOWED.get().wrapping_add(1));
}

/// Runs a request and calls `add` with the number of redirects that each poll followed.
pub(crate) async fn count_followed<T>(request: impl Future<Output = T>, add: impl Fn(u64)) -> T {
    let mut request = pin!(request);
    poll_fn(|context| {
        let before = FOLLOWED.get();
        let poll = request.as_mut().poll(context);
        add(FOLLOWED.get().wrapping_sub(before));
        poll
    })
    .await
}
