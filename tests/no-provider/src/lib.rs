//! Tests of the feature `rustls-no-provider`. A crypto provider is installed per process, so each
//! file in `tests` is about one state: without a provider, and with ring.
