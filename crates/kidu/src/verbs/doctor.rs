//! `kidu doctor`: is this machine ready?

#[cfg(feature = "aws")]
mod aws;

use std::{path::Path, thread::available_parallelism};

use kidu_models::Accelerator;
use kidu_pipeline::text;
use serde::Serialize;

use crate::{
    Outcome,
    cli::{ConfigArgs, DoctorArgs},
    failure::Failure,
    git, settings, ui,
};

/// One thing that was looked at.
#[derive(Clone, Serialize)]
struct Check {
    name: String,
    ok: bool,
    detail: String,
}

pub(super) fn run(arguments: &DoctorArgs) -> Outcome {
    let here = [vec![version(), processor()], backends(), vec![configuration(), writable(), weights(), commit()]];
    let mut checks = here.concat();
    if arguments.aws {
        checks.extend(of_aws(arguments)?);
    }
    let broken = checks.iter().filter(|c| !c.ok).count();
    if arguments.output.json {
        ui::json(&checks)?;
    } else {
        let mark = |c: &Check| if c.ok { "ok" } else { "broken" };
        let rows: Vec<_> = checks.iter().map(|c| vec![c.name.clone(), mark(c).into(), c.detail.clone()]).collect();
        ui::line(text::table(&["check", "state", "detail"], &rows).trim_end());
    }
    match broken {
        0 => Ok(()),
        n => Err(Failure::Failed(anyhow::anyhow!("{n} of {} checks found something broken", checks.len()))),
    }
}

#[cfg(feature = "aws")]
fn of_aws(arguments: &DoctorArgs) -> Outcome<Vec<Check>> {
    let places = arguments.places.iter().map(|place| Ok(place.parse()?)).collect::<Outcome<Vec<_>>>()?;
    Ok(aws::checks(&places))
}

#[cfg(not(feature = "aws"))]
fn of_aws(_: &DoctorArgs) -> Outcome<Vec<Check>> {
    Err(Failure::usage("--aws: this kidu was built without AWS; build it with the cargo feature 'aws' (on by default)"))
}

fn version() -> Check {
    let detail = format!("{} for {}-{}", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH, std::env::consts::OS);
    Check { name: "kidu".into(), ok: true, detail }
}

fn processor() -> Check {
    let cores = available_parallelism().map_or(1, usize::from);
    Check { name: "processor".into(), ok: true, detail: format!("{cores} cores; {}", instruction_sets()) }
}

#[cfg(target_arch = "x86_64")]
fn instruction_sets() -> String {
    let sets = [
        ("AVX-512", std::is_x86_feature_detected!("avx512f")),
        ("AVX2", std::is_x86_feature_detected!("avx2")),
        ("FMA", std::is_x86_feature_detected!("fma")),
    ];
    let present: Vec<_> = sets.iter().filter(|(_, present)| *present).map(|(name, _)| *name).collect();
    if present.is_empty() { "no AVX2: training will be slow".into() } else { present.join(", ") }
}

#[cfg(not(target_arch = "x86_64"))]
fn instruction_sets() -> String {
    std::env::consts::ARCH.into()
}

/// A backend is tried, not only looked up: a small product on the device.
fn backends() -> Vec<Check> {
    Accelerator::ALL
        .into_iter()
        .map(|accelerator| {
            let name = accelerator.name().to_string();
            if !accelerator.is_compiled() {
                return Check { name, ok: true, detail: "not in this build; see docs/backends.md".into() };
            }
            match kidu_models::device::try_out(accelerator) {
                Ok(()) => Check { name, ok: true, detail: "works".into() },
                Err(e) => Check { name, ok: false, detail: e.to_string() },
            }
        })
        .collect()
}

fn configuration() -> Check {
    let found = settings::load(&ConfigArgs::default(), "pipeline");
    let local = Path::new("configs/train.yaml").is_file();
    let detail = if local { "./configs over the shipped files" } else { "the shipped files" };
    match found {
        Ok(_) => Check { name: "configuration".into(), ok: true, detail: detail.into() },
        Err(e) => Check { name: "configuration".into(), ok: false, detail: e.to_string() },
    }
}

fn writable() -> Check {
    let probe = Path::new(".kidu-doctor");
    let written = kidu_core::files::write_atomic(probe, b"x").map_err(|e| e.to_string());
    let removed = written.and_then(|()| std::fs::remove_file(probe).map_err(|e| e.to_string()));
    match removed {
        Ok(()) => Check { name: "folder".into(), ok: true, detail: "the present folder can be written".into() },
        Err(e) => Check { name: "folder".into(), ok: false, detail: e },
    }
}

fn weights() -> Check {
    let dir = kidu_models::hub::cache_dir().join("hub");
    let count = std::fs::read_dir(&dir).map_or(0, Iterator::count);
    Check { name: "weights cache".into(), ok: true, detail: format!("{count} files in {}", dir.display()) }
}

fn commit() -> Check {
    let found = std::env::current_dir().ok().and_then(|dir| git::commit(&dir));
    let detail = found.map_or_else(|| "no git repository: runs name no commit".into(), |c| format!("commit {c}"));
    Check { name: "git".into(), ok: true, detail }
}
