use std::collections::VecDeque;

/// Bounds the memory of a long run.
const MAX_QUERIES: usize = 100_000;

/// The raw queries of the last requests of one operation.
#[derive(Default)]
pub(crate) struct QueryLog(VecDeque<String>);

impl QueryLog {
    /// Adds a query, and drops the oldest one if there are too many.
    pub(crate) fn record(&mut self, query: Option<&str>) {
        if self.0.len() == MAX_QUERIES {
            self.0.pop_front();
        }
        self.0.push_back(query.unwrap_or_default().to_owned());
    }

    /// Returns the queries, oldest first.
    pub(crate) fn to_vec(&self) -> Vec<String> {
        self.0.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_queries_are_dropped() {
        let mut log = QueryLog::default();
        log.record(None);
        for n in 0..=MAX_QUERIES {
            log.record(Some(&n.to_string()));
        }
        let queries = log.to_vec();
        assert_eq!(queries.len(), MAX_QUERIES);
        assert_eq!((queries[0].as_str(), queries[1].as_str()), ("1", "2"));
    }
}
