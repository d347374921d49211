//! Secrets: from the environment or from files, never from the command line.

use std::path::{Path, PathBuf};

use crate::{
    error::{BackendError, Result},
    options::Options,
};

/// What nobody may see.
#[derive(Clone, Default)]
pub struct Secrets {
    /// Label Studio's token.
    pub label_studio_token: Option<String>,
    /// The password of `--basic-auth-user`.
    pub basic_auth_password: Option<String>,
    /// What event webhooks carry.
    pub webhook_secret: Option<String>,
    /// The endpoint's token.
    pub endpoint_token: Option<String>,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets(..)")
    }
}

/// Variables that are this process's own: a build does not get them.
pub(crate) const OWN_SECRETS: [&str; 3] = ["KIDU_BASIC_AUTH_PASSWORD", "KIDU_WEBHOOK_SECRET", "KIDU_ENDPOINT_TOKEN"];

impl Secrets {
    /// Reads files and variables. A file goes before its variable.
    ///
    /// # Errors
    /// [`BackendError::Setting`] for a file that cannot be read or is empty.
    pub fn read(options: &Options, variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let get = |file: &Option<PathBuf>, option: &str, names: &[&str]| match file {
            Some(file) => secret_file(file, option).map(Some),
            None => Ok(names.iter().find_map(|n| variable(n)).map(|v| v.trim().to_owned()).filter(|v| !v.is_empty())),
        };
        let (images, server) = (&options.images, &options.server);
        Ok(Self {
            label_studio_token: get(
                &images.label_studio_token_file,
                "--label-studio-token-file",
                &["KIDU_LABEL_STUDIO_TOKEN", "LABEL_STUDIO_API_KEY"],
            )?,
            basic_auth_password: get(
                &server.basic_auth_password_file,
                "--basic-auth-password-file",
                &["KIDU_BASIC_AUTH_PASSWORD"],
            )?,
            webhook_secret: get(&server.webhook_secret_file, "--webhook-secret-file", &["KIDU_WEBHOOK_SECRET"])?,
            endpoint_token: get(
                &options.endpoint.endpoint_token_file,
                "--endpoint-token-file",
                &["KIDU_ENDPOINT_TOKEN"],
            )?,
        })
    }
}

fn secret_file(file: &Path, option: &str) -> Result<String> {
    let bad = |reason: String| BackendError::Setting(format!("{option} {}: {reason}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|e| bad(e.to_string()))?;
    let text = text.trim();
    if text.is_empty() { Err(bad("is empty".into())) } else { Ok(text.to_owned()) }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[test]
    fn secrets_come_from_files_or_variables_and_are_not_shown() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        std::fs::write(&file, "from-file\n").unwrap();
        let given =
            ["kidu-label-studio", "--endpoint", "http://h", "--label-studio-token-file", file.to_str().unwrap()];
        let options = Options::try_parse_from(given).unwrap();
        let secrets = Secrets::read(&options, |name| Some(format!(" {name} "))).unwrap();
        assert_eq!(secrets.label_studio_token.as_deref(), Some("from-file"));
        assert_eq!(secrets.endpoint_token.as_deref(), Some("KIDU_ENDPOINT_TOKEN"));
        assert_eq!(format!("{secrets:?}"), "Secrets(..)");
        std::fs::write(&file, " \n").unwrap();
        assert!(Secrets::read(&options, |_| None).unwrap_err().to_string().contains("is empty"));
    }
}
