//! The first step: an approved version becomes something that can be deployed.

use std::{fs, path::Path};

use kidu_core::{Bundle, Sha256Hex, files, run::timestamp};
use kidu_pipeline::{
    ModelVersion, Registry, Status,
    registry::{kept_bundle, model_hash, registered_bundle},
};
use serde::{Deserialize, Serialize};

use crate::error::{DeployError, Result};

/// What was packaged; `package.json` beside the bundle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Package {
    /// The registry's group.
    pub group: String,
    /// The model version's number there.
    pub version: u32,
    /// Identity of the model.
    pub model_hash: Sha256Hex,
    /// The name and version under which a server announces it.
    pub served_as: String,
    /// When, RFC 3339.
    pub created: String,
}

/// The version, if it may be deployed.
///
/// # Errors
/// [`DeployError::Refused`] for one that is not approved, [`DeployError::Pipeline`] for one that is not there.
pub fn approved(registry: &Registry, version: u32) -> Result<ModelVersion> {
    let found = registry.show(version)?;
    if found.status == Status::Approved {
        return Ok(found);
    }
    let what = match found.status {
        Status::Rejected => "an approval that overrules the rejection needs a reason",
        _ => "look at it with `kidu model show`, then `kidu model approve`",
    };
    Err(DeployError::Refused(format!(
        "version {version} of '{}' is {} and is not deployed: only approved versions are; {what}",
        registry.group(),
        found.status
    )))
}

/// Copies an approved version's bundle to `out/bundle`, verified, and writes `out/package.json`. A whole one that an earlier
/// release left there is taken as it is, also where the registry has it no more; what else was there is replaced.
///
/// # Errors
/// As [`approved`], and [`DeployError::Core`] for a bundle that is not whole or a folder that cannot be written.
pub fn package(registry: &Registry, version: u32, out: &Path) -> Result<Package> {
    let version = approved(registry, version)?;
    let target = out.join("bundle");
    let there = registered_bundle(&version, &target);
    if let Some(there) = there.ok().filter(|b| model_hash(b.manifest()) == version.registered.model_hash) {
        return describe(registry, &version, &there, out);
    }
    let bundle = kept_bundle(&version)?;
    let hash = model_hash(bundle.manifest());
    if hash != version.registered.model_hash {
        return Err(DeployError::Refused(format!(
            "the bundle of version {} in the registry is not the model that was registered; register it anew",
            version.version
        )));
    }
    if target.exists() {
        fs::remove_dir_all(&target).map_err(|e| kidu_core::Error::io("remove", &target, e))?;
    }
    // The manifest last: without it nothing is a bundle.
    let names = bundle.manifest().files.keys().map(String::as_str).chain([Bundle::MANIFEST]);
    for name in names {
        let from = version.bundle_dir.join(name);
        let mut source = fs::File::open(&from).map_err(|e| kidu_core::Error::io("read", &from, e))?;
        files::write_atomic_with(&target.join(name), |file| std::io::copy(&mut source, file).map(|_| ()))?;
    }
    describe(registry, &version, &Bundle::open(&target)?, out)
}

fn describe(registry: &Registry, version: &ModelVersion, bundle: &Bundle, out: &Path) -> Result<Package> {
    let package = Package {
        group: registry.group().into(),
        version: version.version,
        model_hash: model_hash(bundle.manifest()),
        served_as: format!("{}@{}", bundle.manifest().model, bundle.manifest().version()),
        created: timestamp(),
    };
    files::write_json(&out.join("package.json"), &package)?;
    Ok(package)
}
