//! A Label Studio from the options, and the project that they name.

use std::time::Duration;

use kidu_annotate::{
    LabelStudioClient,
    client::{Project, User},
};
use kidu_core::Progress;
use kidu_fetch::{FetchOptions, LabelStudio};

use crate::{
    Outcome,
    cli::{LabelStudioArgs, ServerArgs, WhichArgs},
    failure::Failure,
};

/// The most bytes of an answer: exports of large projects.
const MAX_BYTES: u64 = 2 << 30;

/// How a Label Studio is reached.
pub(super) struct Access<'a> {
    pub(super) server: &'a LabelStudioArgs,
    /// Seconds for one answer.
    pub(super) timeout: f64,
}

impl<'a> From<&'a ServerArgs> for Access<'a> {
    fn from(arguments: &'a ServerArgs) -> Self {
        Self { server: &arguments.server, timeout: arguments.timeout }
    }
}

/// A client that was let in.
pub(super) fn connect(access: &Access<'_>, progress: &dyn Progress) -> Outcome<LabelStudioClient> {
    let Some(address) = access.server.label_studio.as_deref() else {
        return Err(Failure::usage("say which Label Studio: --label-studio URL, or KIDU_LABEL_STUDIO"));
    };
    if !access.timeout.is_finite() || !(0.1..=86_400.0).contains(&access.timeout) {
        return Err(Failure::usage(format!("--timeout {}: must be from 0.1 to 86400 seconds", access.timeout)));
    }
    let token = access.server.token();
    if token.is_none() {
        return Err(Failure::usage(
            "Label Studio lets nobody in without a token: set KIDU_LABEL_STUDIO_TOKEN (Account & Settings there has one)",
        ));
    }
    let label_studio = LabelStudio::new(address, token).map_err(|e| Failure::usage(format!("--label-studio: {e}")))?;
    let client = LabelStudioClient::new(FetchOptions {
        label_studio: Some(label_studio),
        ca_file: access.server.ca_file.clone(),
        try_timeout: Duration::from_secs_f64(access.timeout),
        max_bytes: MAX_BYTES,
        ..FetchOptions::default()
    })?;
    let User { email, .. } = client.whoami()?;
    progress.note(&format!("{} as {email}", client.server()));
    Ok(client)
}

/// The project that is meant; it must be there.
pub(super) fn find(client: &LabelStudioClient, which: &WhichArgs) -> Outcome<Project> {
    if let Some(id) = which.project {
        return Ok(client.project(id)?);
    }
    let title = which.title.as_deref().unwrap_or_default();
    kidu_annotate::project::by_title(client.projects()?, title)?.ok_or_else(|| {
        Failure::usage(format!("{} has no project '{title}'; make it with `kidu annotate project`", client.server()))
    })
}
