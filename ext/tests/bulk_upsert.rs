//! The example `bulk_upsert`, run as a process.

use std::process::Command;

const LAST_LINE: &str = "7071 values of 2357 customers in 236 requests: \
                         7071 stored, 0 superseded, 0 rejected, 0 unknown, 0 not sent\n";

#[test]
fn the_bundled_customers_are_stored() {
    // Cargo builds examples along with this test, into the folder `examples` beside that of the tests.
    let mut path = std::env::current_exe().expect("this test's own path");
    path.pop();
    path.pop();
    path.push("examples");
    path.push(format!("bulk_upsert{}", std::env::consts::EXE_SUFFIX));
    let output = Command::new(path).output().expect("the example was built");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    assert_eq!((&*stdout, &*stderr), (LAST_LINE, ""));
    assert!(output.status.success());
}
