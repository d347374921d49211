//! When the bundle is looked at again: on SIGHUP, and when its manifest or the link to it has changed.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use kidu_core::Bundle;
use tokio::signal::unix::Signal;

use crate::service::Service;

/// What tells one bundle at a path from another: where the path leads, and when its manifest was written. A bundle's
/// manifest is written last, so that it stands for a whole bundle.
type Mark = (PathBuf, SystemTime, u64);

fn mark(bundle: &Path) -> Option<Mark> {
    let dir = bundle.canonicalize().ok()?;
    let manifest = fs::metadata(dir.join(Bundle::MANIFEST)).ok()?;
    Some((dir, manifest.modified().ok()?, manifest.len()))
}

/// Reloads until it is dropped. Without seconds only on SIGHUP.
pub(super) async fn watch(service: Arc<Service>, bundle: PathBuf, seconds: Option<f64>, mut hangups: Signal) {
    let period = seconds.filter(|s| *s > 0.0).map(Duration::from_secs_f64);
    let mut seen = mark(&bundle);
    loop {
        let asked = match period {
            None => hangups.recv().await.is_some(),
            Some(period) => tokio::select! {
                hangup = hangups.recv() => hangup.is_some(),
                () = tokio::time::sleep(period) => false,
            },
        };
        let now = mark(&bundle);
        // A path that leads nowhere for a moment is between two bundles.
        if asked || (now.is_some() && now != seen) {
            seen = now;
            let service = Arc::clone(&service);
            // What went wrong was logged.
            let _ = tokio::task::spawn_blocking(move || service.reload().map(drop)).await;
        }
    }
}
