//! Audits, one after the other, where they hold up nobody.

use super::service::Service;
use crate::backend::{Backend, BackendError, Control};
use crate::coordinator::{Audit, AuditResult};
use crate::jobs::Sample;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Nonces between two looks at what was found: an audit ends at its first shares.
const PIECE: u128 = 1 << 22;

/// After an audit the auditor rests this many times as long as it took, so that a server on a small
/// machine, or one that searches too, has most of its processor left.
const REST: u32 = 3;

/// How often it looks, while it rests, whether a job waits for its audits.
const NAP: Duration = Duration::from_millis(20);

/// Runs what comes in until nobody audits any more; `backend` searches, else the judge does.
pub(super) async fn run(
    service: Arc<Service>,
    mut audits: mpsc::UnboundedReceiver<Audit>,
    backend: Option<Arc<dyn Backend>>,
) {
    let mut rested = Instant::now();
    while let Some(audit) = audits.recv().await {
        while Instant::now() < rested && !service.with(|c, _| c.waits_for_audits()) {
            tokio::time::sleep(NAP.min(rested.saturating_duration_since(Instant::now()))).await;
        }
        if !service.with(|coordinator, _| coordinator.still_wants(&audit)) {
            service.audited(&audit.compare(&[]));
            continue;
        }
        let (backend, dropped) = (backend.clone(), audit.compare(&[]));
        let began = Instant::now();
        let work = move || match backend {
            // A backend that has failed finds nothing, and proves nothing against anyone.
            Some(backend) => examine(&audit, &*backend).unwrap_or_else(|_| audit.compare(&[])),
            None => audit.run(),
        };
        // A panic is a bug of the backend, and proves nothing against anyone either.
        service.audited(&tokio::task::spawn_blocking(work).await.unwrap_or(dropped));
        rested = Instant::now() + began.elapsed() * REST;
    }
}

/// Does an audit on a backend: searches each sample piece by piece until there are shares.
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
        let (piece, later) = rest.split_at(PIECE.min(rest.len()));
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
