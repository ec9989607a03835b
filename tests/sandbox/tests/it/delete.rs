//! The DELETE of values.

use bigcommerce_sandbox::{Sandbox, TooLarge, UnknownId};

use crate::client::delete;

#[tokio::test(start_paused = true)]
async fn a_delete_removes_exactly_the_given_ids() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let ids: Vec<i64> = (1..=4).map(|n| sandbox.insert(n, 1, "v")).collect();
    let query = format!("id%3Ain={}%2C{}", ids[0], ids[2]);
    let deleted = delete(sandbox.base_url(), &query).await;
    assert_eq!(deleted.status, 204);
    assert!(deleted.body.is_empty());
    let left: Vec<i64> = sandbox.values().iter().map(|value| value.id).collect();
    assert_eq!(left, [ids[1], ids[3]]);

    // Unknown and repeated IDs are ignored by default. The last of a repeated parameter wins.
    let query = format!("id:in={}&id:in={2},{2},{1}", ids[3], ids[0], ids[1]);
    assert_eq!(delete(sandbox.base_url(), &query).await.status, 204);
    assert_eq!(sandbox.value(4, 1).unwrap().id, ids[3]);
    assert_eq!(sandbox.counts().values, 1);

    for invalid in ["", "id:in=", "id:in=x", "id:in[]=5001", "id:in=5001&page=1"] {
        assert_eq!(
            delete(sandbox.base_url(), invalid).await.status,
            422,
            "{invalid:?}"
        );
    }
    assert_eq!(sandbox.counts().values, 1);
    assert_eq!(sandbox.counts().deletes, 7);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_id_rejects_the_delete_if_configured() {
    for (unknown, status) in [(UnknownId::NotFound, 404), (UnknownId::Unprocessable, 422)] {
        let builder = Sandbox::builder().unknown_id(unknown);
        let sandbox = builder.start().await.unwrap();
        let id = sandbox.insert(1, 1, "v");
        let rejected = delete(sandbox.base_url(), &format!("id:in={id},{}", id + 1)).await;
        assert_eq!(rejected.status, status);
        assert_eq!(sandbox.values().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn more_ids_than_the_limit_are_rejected() {
    let builder = Sandbox::builder()
        .delete_limit(2)
        .too_large(TooLarge::Status413);
    let sandbox = builder.start().await.unwrap();
    let base_url = sandbox.base_url();
    for attribute in 1..=3 {
        sandbox.insert(1, attribute, "v");
    }
    assert_eq!(delete(base_url, "id:in=5001,5002,5003").await.status, 413);
    assert_eq!(delete(base_url, "id:in=5001,5002").await.status, 204);
    assert_eq!(sandbox.counts().values, 1);
}
