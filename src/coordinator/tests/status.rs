//! Tests of the statuses as JSON, as readers see them.

use super::*;
use serde_json::json;

#[test]
fn totals_jobs_and_clients_are_written_as_json() {
    let mut coordinator = coordinator();
    let client = coordinator.join(SECOND, newcomer(1, 0)).unwrap().client;
    let job = coordinator.submit(SECOND, 1, sum(1, 4 * FIRST), 3).unwrap();
    let grant = lease(coordinator.request(SECOND, client, 1).unwrap());
    coordinator.report(2 * SECOND, client, &report(&grant, grant.span, true)).unwrap();
    lease(coordinator.request(2 * SECOND, client, 2).unwrap());
    let readers = &coordinator;
    let totals = serde_json::to_value(readers.totals()).unwrap();
    let expected = json!({
        "clients": 1, "started": true, "leases": 1, "active_jobs": 1, "search_rate": 0
    });
    assert_eq!(totals, expected);
    let status = readers.job(job).unwrap();
    let expected = json!({
        "id": 1,
        "spec": {"sum_of_squares": {"first": 1, "last": 4 * FIRST as u64}},
        "priority": 3,
        "submitted": {"secs": 1, "nanos": 0},
        "state": "running",
        "ended": null,
        "whole": 4 * FIRST as u64,
        "confirmed": FIRST as u64,
        "claimed": 0,
        "leased": status.leased as u64,
        "free": status.free as u64,
        "leases": 1,
        "chance": null,
        "solutions": 0
    });
    assert_eq!(serde_json::to_value(status).unwrap(), expected);
    coordinator.ban(client);
    coordinator.cancel(2 * SECOND, job);
    let written = serde_json::to_value(coordinator.client(client).unwrap()).unwrap();
    assert_eq!(written["standing"], json!({"banned": "operator"}));
    assert_eq!(written["name"], json!("client 1"));
    let written = serde_json::to_value(coordinator.job(job).unwrap()).unwrap();
    assert_eq!(written["ended"], json!([{"secs": 2, "nanos": 0}, "cancelled"]));
}
