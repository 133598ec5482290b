//! Runs audits one after the other, on a thread of their own.

use super::service::Service;
use crate::backend::{Backend, BackendError, Control};
use crate::coordinator::{Audit, AuditResult, Coordinator};
use crate::jobs::Sample;
use crate::net::limits::{AUDIT_NAP, AUDIT_PIECE, AUDIT_REST};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Runs audits until the service is gone, on `backend` or else with the judge.
pub(in crate::net) async fn run(
    service: Arc<Service>,
    mut audits: mpsc::UnboundedReceiver<Audit>,
    backend: Option<Arc<dyn Backend>>,
) {
    let mut rested = Instant::now();
    while let Some(audit) = audits.recv().await {
        while Instant::now() < rested && !service.read(Coordinator::waits_for_audits) {
            tokio::time::sleep(AUDIT_NAP.min(rested.saturating_duration_since(Instant::now())))
                .await;
        }
        if !service.read(|coordinator| coordinator.still_wants(&audit)) {
            service.audited(&audit.compare(&[]));
            continue;
        }
        let (backend, dropped) = (backend.clone(), audit.compare(&[]));
        let began = Instant::now();
        let work = move || match backend {
            // A backend that has failed proves nothing against anyone.
            Some(backend) => examine(&audit, &*backend).unwrap_or_else(|_| audit.compare(&[])),
            None => audit.run(),
        };
        // A panic is a bug of the backend, and proves nothing against anyone either.
        service.audited(&tokio::task::spawn_blocking(work).await.unwrap_or(dropped));
        rested = Instant::now() + began.elapsed() * AUDIT_REST;
    }
}

/// Runs an audit on a backend: searches each sample piece by piece up to its first share.
///
/// # Errors
/// The backend has failed.
pub fn examine(audit: &Audit, backend: &dyn Backend) -> Result<AuditResult, BackendError> {
    let first = |sample| first_share(sample, backend);
    let found: Result<Vec<_>, _> = audit.samples().iter().map(first).collect();
    Ok(audit.compare(&found?))
}

fn first_share(sample: &Sample, backend: &dyn Backend) -> Result<Option<u128>, BackendError> {
    let mut rest = sample.span();
    while !rest.is_empty() {
        let (piece, later) = rest.split_at(AUDIT_PIECE.min(rest.len()));
        let space = sample.space().clone();
        let control = Control::new(space, piece, sample.share_bits(), usize::MAX);
        backend.search(&control)?;
        if let Some(first) = control.hits().iter().map(|hit| hit.nonce).min() {
            return Ok(Some(first));
        }
        rest = later;
    }
    Ok(None)
}
