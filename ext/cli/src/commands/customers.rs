//! The command `customers`.

use bigcommerce_ext::sdk::types::Customer;
use clap::{Args, Subcommand};
use futures_util::TryStreamExt as _;

use crate::args::Global;
use crate::session::Session;
use crate::status::{Failure, Status};
use crate::table;

/// Find customers
#[derive(Debug, Args)]
pub struct Customers {
    #[command(subcommand)]
    action: CustomersAction,
}

#[derive(Debug, Subcommand)]
enum CustomersAction {
    /// Find customers by e-mail address; several accounts may have the same one
    Find {
        #[arg(required = true, value_name = "ADDRESS")]
        addresses: Vec<String>,
    },
}

impl Customers {
    pub async fn run(self, global: &Global) -> Result<Status, Failure> {
        let session = Session::start(global).await?;
        let CustomersAction::Find { addresses } = self.action;
        let list = session
            .store()
            .customers()
            .emails(addresses.iter().cloned());
        let list = list.stop_when(session.stop()).observe(session.observer());
        let mut customers: Vec<Customer> = list.stream().try_collect().await?;
        customers.sort_by_key(|customer| customer.id);
        if global.json {
            for customer in &customers {
                session.json(customer);
            }
        } else if !customers.is_empty() {
            let rows: Vec<_> = customers.iter().map(row).collect();
            for line in table::lines(&["ID", "e-mail address", "name", "channels"], &rows, &[0]) {
                session.println(line);
            }
        }
        let mut status = Status::Done;
        for address in &addresses {
            if !customers.iter().any(|it| is_same(&it.email, address)) {
                session.eprintln(format_args!("no customer has the address {address:?}"));
                status = Status::Incomplete;
            }
        }
        Ok(session.end(status))
    }
}

/// Returns `true` if two addresses are the same, as the library compares them.
fn is_same(one: &str, other: &str) -> bool {
    one.trim().to_lowercase() == other.trim().to_lowercase()
}

fn row(customer: &Customer) -> Vec<String> {
    let names = [&customer.first_name, &customer.last_name];
    let names = names.map(|name| name.as_deref().unwrap_or_default());
    let channels = match &customer.channel_ids {
        None => "all".to_owned(),
        Some(ids) => {
            let ids: Vec<_> = ids.iter().map(i64::to_string).collect();
            ids.join(", ")
        }
    };
    vec![
        customer.id.to_string(),
        customer.email.clone(),
        names.join(" ").trim().to_owned(),
        channels,
    ]
}
