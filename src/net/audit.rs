//! Audits, one after the other, where they hold up nobody.

use super::hub::Hub;
use crate::backend::{Backend, BackendError, Control};
use crate::coordinator::{Audit, AuditResult};
use crate::span::Span;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Nonces between two looks at what was found: an audit ends at its first shares.
const PIECE: u128 = 1 << 22;

/// After an audit the auditor rests this many times as long as it took, so that a server on a small
/// machine, or one that searches too, has most of its processor left.
const REST: u32 = 3;

/// Runs what comes in until nobody audits any more; `backend` searches, else the judge does.
pub(super) async fn run(
    hub: Arc<Hub>,
    mut audits: mpsc::UnboundedReceiver<Audit>,
    backend: Option<Arc<dyn Backend>>,
) {
    while let Some(audit) = audits.recv().await {
        if !hub.with(|coordinator, _| coordinator.still_wants(&audit)) {
            hub.audited(&audit.compare([]));
            continue;
        }
        let (backend, dropped) = (backend.clone(), audit.compare([]));
        let began = tokio::time::Instant::now();
        let work = move || match backend {
            // A backend that has failed finds nothing, and proves nothing against anyone.
            Some(backend) => examine(&audit, &*backend).unwrap_or_else(|_| audit.compare([])),
            None => audit.run(),
        };
        // A panic is a bug of the backend, and proves nothing against anyone either.
        hub.audited(&tokio::task::spawn_blocking(work).await.unwrap_or(dropped));
        tokio::time::sleep(began.elapsed() * REST).await;
    }
}

/// Does an audit on a backend: searches the sample piece by piece until there are shares.
///
/// # Errors
/// The backend has failed.
pub fn examine(audit: &Audit, backend: &dyn Backend) -> Result<AuditResult, BackendError> {
    let sample = audit.sample();
    let mut rest = sample.span();
    while !rest.is_empty() {
        let (piece, later) = rest.split_at(PIECE.min(rest.len()));
        let found = search(audit, piece, backend)?;
        if !found.is_empty() {
            return Ok(audit.compare(found));
        }
        rest = later;
    }
    Ok(audit.compare([]))
}

fn search(audit: &Audit, span: Span, backend: &dyn Backend) -> Result<Vec<u128>, BackendError> {
    let sample = audit.sample();
    let control = Control::new(sample.space().clone(), span, sample.share_bits(), usize::MAX);
    backend.search(&control)?;
    Ok(control.hits().iter().map(|hit| hit.nonce).collect())
}
