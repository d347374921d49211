//! When the bundle is looked at again: on SIGHUP, and when its manifest or the link to it has changed.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use kidu_core::Bundle;
use tokio::signal::unix::Signal;

use crate::service::Service;

/// What tells one bundle at a path from another: where the path leads, and when its manifest was written. A bundle's
/// manifest is written last, so that it stands for a whole bundle.
pub(super) type Mark = (PathBuf, SystemTime, u64);

/// After a bundle that could not be loaded, as one that is still being copied, it is tried again after so long, and twice as
/// long each time.
const AGAIN: Duration = Duration::from_secs(1);
/// The longest such wait.
const LONGEST: Duration = Duration::from_secs(60);

/// How the bundle at a path is now; nothing where there is none.
pub(super) fn mark(bundle: &Path) -> Option<Mark> {
    let dir = bundle.canonicalize().ok()?;
    let manifest = fs::metadata(dir.join(Bundle::MANIFEST)).ok()?;
    Some((dir, manifest.modified().ok()?, manifest.len()))
}

/// Reloads until it is dropped. Without seconds only on SIGHUP. `seen` is how the bundle was before it was loaded.
pub(super) async fn watch(
    service: Arc<Service>,
    bundle: PathBuf,
    mut seen: Option<Mark>,
    seconds: Option<f64>,
    mut hangups: Signal,
) {
    let period = seconds.filter(|s| *s > 0.0).map(Duration::from_secs_f64);
    let mut failed: Option<(Instant, Duration)> = None;
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
        let changed = now.is_some() && now != seen;
        let again = failed.is_some_and(|(at, pause)| now.is_some() && at.elapsed() >= pause);
        if asked || changed || again {
            seen = now;
            let service = Arc::clone(&service);
            // What went wrong was logged.
            let reloaded = tokio::task::spawn_blocking(move || service.reload().map(drop)).await;
            let pause = failed.map_or(AGAIN, |(_, pause)| if changed { AGAIN } else { (pause * 2).min(LONGEST) });
            failed = (!matches!(reloaded, Ok(Ok(())))).then(|| (Instant::now(), pause));
        }
    }
}
