use std::collections::{BTreeMap, HashSet};

use crate::active_fault::ActiveFault;
use crate::customers::{Customers, SandboxCustomer, fold};
use crate::fault::Fault;
use crate::filter::DateFilters;
use crate::paging::{self, ListUrl, PageRequest};
use crate::query::{self, InvalidParameter};
use crate::response_faults;
use crate::settings::{EmailSplit, ListMeta, Settings};
use crate::state::Shared;
use crate::wire::{ApiResponse, Cursors, CustomerRecords};

pub(crate) fn get(
    shared: &Shared,
    query: Option<&str>,
    mut fault: Option<&mut ActiveFault>,
) -> ApiResponse {
    let parameters = query::parameters(query);
    let settings = &shared.settings;
    let mut filter = CustomerFilter::default();
    let request = PageRequest::parse(settings, &parameters, |name, text| {
        filter.set(settings, query, name, text)
    });
    let request = match request {
        Ok(request) => request,
        Err(invalid) => return invalid.into_response(),
    };
    let mut guard = shared.lock();
    let state = &mut *guard;
    if let Some(fault) = &fault
        && fault.fault == Fault::IgnoredFilters
        && filter.selection.is_filtered()
    {
        filter.selection = Selection::default();
        state.count_fault(fault.fault);
    }
    let cursor = filter.cursor;
    let mut page = filter.selection.page(&state.customers, cursor, &request);
    let has_totals = settings.list_meta == ListMeta::Full && cursor.is_none();
    if let Some(fault) = &mut fault {
        let (customers, total) = (&mut page.customers, &mut page.total);
        let offset = request.offset();
        if response_faults::apply_to_list(fault, offset, customers, total, has_totals) {
            state.count_fault(fault.fault);
        }
    }
    drop(guard);
    let list = ListUrl {
        base_url: &shared.base_url,
        path: paging::CUSTOMERS,
        parameters: &parameters,
    };
    let count = page.customers.len();
    let pagination = match cursor {
        Some(_) => None,
        None => request.pagination(settings.list_meta, &list, page.total, count),
    };
    let cursors = settings.has_cursors.then(|| Cursors::of(&page.customers));
    ApiResponse::cursor_page(CustomerRecords(&page.customers), pagination, cursors)
}

/// The filter and the cursor of a GET of customers.
#[derive(Default)]
struct CustomerFilter {
    selection: Selection,
    cursor: Option<Cursor>,
}

/// The conditions of a GET of customers. All of them must hold.
#[derive(Default)]
struct Selection {
    ids: Option<HashSet<i64>>,
    addresses: Option<Addresses>,
    groups: Option<HashSet<i64>>,
    dates: Option<DateFilters>,
}

struct Addresses {
    addresses: HashSet<String>,
    distinguishes_case: bool,
}

#[derive(Clone, Copy)]
enum Cursor {
    After(i64),
    Before(i64),
}

struct CustomerPage {
    customers: Vec<SandboxCustomer>,
    total: usize,
}

impl CustomerFilter {
    fn set(
        &mut self,
        settings: &Settings,
        query: Option<&str>,
        name: &str,
        text: &str,
    ) -> Result<(), InvalidParameter> {
        let selection = &mut self.selection;
        match name {
            "after" | "before" if settings.has_cursors => {
                let id = Cursors::parse(text)
                    .ok_or_else(|| InvalidParameter::new(name, "is not a cursor"))?;
                self.cursor = Some(match name {
                    "after" => Cursor::After(id),
                    _ => Cursor::Before(id),
                });
            }
            "id:in" => selection.ids = Some(query::ids(name, text)?),
            "customer_group_id:in" => selection.groups = Some(query::ids(name, text)?),
            "email:in" if settings.ignores_emails => {}
            "email:in" => {
                let addresses = match settings.email_split {
                    EmailSplit::AfterDecoding => text.split(',').map(str::to_owned).collect(),
                    EmailSplit::BeforeDecoding => query::raw_items(query, name),
                };
                let trimmed = addresses.iter().map(|address| address.trim());
                selection.addresses = Some(Addresses {
                    addresses: match settings.distinguishes_case {
                        true => trimmed.map(str::to_owned).collect(),
                        false => trimmed.map(fold).collect(),
                    },
                    distinguishes_case: settings.distinguishes_case,
                });
            }
            "sort" => {
                let (field, order) = text.split_once(':').unwrap_or((text, "asc"));
                let is_field = ["date_created", "last_name", "date_modified"].contains(&field);
                if !is_field || !["asc", "desc"].contains(&order) {
                    return Err(InvalidParameter::new(
                        name,
                        "must be a field and a direction",
                    ));
                }
            }
            _ => selection.dates.get_or_insert_default().set(name, text)?,
        }
        Ok(())
    }
}

impl Selection {
    fn is_filtered(&self) -> bool {
        self.ids.is_some()
            || self.addresses.is_some()
            || self.groups.is_some()
            || self.dates.is_some()
    }

    /// Returns the customers of a page, in the order of their IDs, and the number of all that match.
    fn page(
        &self,
        customers: &Customers,
        cursor: Option<Cursor>,
        request: &PageRequest,
    ) -> CustomerPage {
        let matches = |customer: &&SandboxCustomer| self.matches(customer);
        if let Some(named) = self.named(customers) {
            let named: Vec<_> = named.into_values().filter(matches).collect();
            let total = named.len();
            let page = match cursor {
                None => take(named.into_iter().skip(request.offset()), request),
                Some(Cursor::After(id)) => take(
                    named.into_iter().filter(|customer| customer.id > id),
                    request,
                ),
                Some(Cursor::Before(id)) => {
                    let before = named.into_iter().rev().filter(|customer| customer.id < id);
                    reversed(take(before, request))
                }
            };
            return CustomerPage {
                customers: page,
                total,
            };
        }
        match cursor {
            // The total is not shown with a cursor.
            Some(Cursor::After(id)) => CustomerPage {
                customers: take(customers.after(id).filter(matches), request),
                total: 0,
            },
            Some(Cursor::Before(id)) => CustomerPage {
                customers: reversed(take(customers.before(id).filter(matches), request)),
                total: 0,
            },
            None => CustomerPage {
                customers: take(
                    customers.iter().filter(matches).skip(request.offset()),
                    request,
                ),
                total: match self.is_filtered() {
                    true => customers.iter().filter(matches).count(),
                    false => customers.len(),
                },
            },
        }
    }

    /// Returns the customers that the filter names by ID or address, if it does.
    fn named<'a>(&self, customers: &'a Customers) -> Option<BTreeMap<i64, &'a SandboxCustomer>> {
        let entry = |customer: &'a SandboxCustomer| (customer.id, customer);
        match (&self.ids, &self.addresses) {
            (Some(ids), _) => {
                let named = ids.iter().filter_map(|id| customers.get(*id));
                Some(named.map(entry).collect())
            }
            (None, Some(addresses)) => {
                let addresses = addresses.addresses.iter();
                let named = addresses.flat_map(|address| customers.with_address(address));
                Some(named.map(entry).collect())
            }
            (None, None) => None,
        }
    }

    fn matches(&self, customer: &SandboxCustomer) -> bool {
        let allows =
            |ids: &Option<HashSet<i64>>, id| ids.as_ref().is_none_or(|ids| ids.contains(&id));
        let has_address = |addresses: &Addresses| {
            let address = match addresses.distinguishes_case {
                true => customer.email.trim().to_owned(),
                false => fold(&customer.email),
            };
            addresses.addresses.contains(&address)
        };
        let created = customer.date_created.unwrap_or_default();
        allows(&self.ids, customer.id)
            && allows(&self.groups, customer.group_id)
            && self.addresses.as_ref().is_none_or(has_address)
            && self
                .dates
                .as_ref()
                .is_none_or(|dates| dates.matches(created, created))
    }
}

fn take<'a>(
    customers: impl Iterator<Item = &'a SandboxCustomer>,
    request: &PageRequest,
) -> Vec<SandboxCustomer> {
    customers.take(request.limit).cloned().collect()
}

fn reversed(mut customers: Vec<SandboxCustomer>) -> Vec<SandboxCustomer> {
    customers.reverse();
    customers
}
