//! `kidu deploy up|run|status|approve|reject|rollback|stop|show|package|smoke` and `kidu model promote`.

use std::{
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use kidu_config::ConfigError;
use kidu_core::files;
use kidu_deploy::{
    DeployError, DeploySettings, Supervision,
    control::{self, Command},
    package,
    smoke::{self, Report},
    state::{Ending, Phase},
    status::Status,
    store, supervisor,
};
use kidu_pipeline::{Registry, deploy_pipeline};
use kidu_telemetry::logs;

use super::{graph, model::actor};
use crate::{
    Outcome,
    cli::{ConfigArgs, Decision, DeployCommand, KeptDir, PromoteArgs, SmokeArgs, UpArgs, WaitArgs},
    failure::Failure,
    settings::{self, Configuration, need},
    step, ui,
};

/// How often a release is looked at by who waits for it.
const LOOK: Duration = Duration::from_millis(300);

pub(super) fn run(command: &DeployCommand) -> Outcome {
    match command {
        DeployCommand::Up(arguments) => up(arguments),
        DeployCommand::Run { version, decision, wait } => {
            let (actor, reason) = who(decision);
            ask(&decision.kept, &Command::Run { version: *version, actor, reason }, wait)
        }
        DeployCommand::Approve { version, decision, wait } => {
            let (actor, reason) = who(decision);
            ask(&decision.kept, &Command::Approve { version: *version, actor, reason }, wait)
        }
        DeployCommand::Rollback { to, decision, wait } => {
            let (actor, reason) = who(decision);
            ask(&decision.kept, &Command::Rollback { to: *to, actor, reason }, wait)
        }
        DeployCommand::Reject { decision, output } => {
            let (actor, reason) = who(decision);
            let reason = reason.ok_or_else(|| Failure::usage("a rejection needs a reason: --reason '...'"))?;
            let status = control::call(&dir(&decision.kept)?, &Command::Reject { actor, reason })?;
            if output.json { ui::json(&status) } else { say(&status) }
        }
        DeployCommand::Status { kept, output } => {
            let status = status(&dir(kept)?)?;
            if output.json {
                return ui::json(&status);
            }
            ui::line(status.text().trim_end());
            Ok(())
        }
        DeployCommand::Stop { kept } => {
            control::call(&dir(kept)?, &Command::Stop)?;
            ui::line("ended");
            Ok(())
        }
        DeployCommand::Show { format } => graph::show_one(*format, deploy_pipeline()),
        DeployCommand::Package { version, registry, out, output } => {
            if registry.place.is_sagemaker() {
                let instead = "`kidu model deploy-config` writes what the stacks of AWS deploy";
                return Err(Failure::usage(format!("deploy package works on a registry of this machine; {instead}")));
            }
            let registry = Registry::open(&registry.registry, &registry.group)?;
            let made = package::package(&registry, *version, out)?;
            if output.json {
                return ui::json(&made);
            }
            ui::line(format!("{}/{}: {}", made.group, made.version, made.served_as));
            Ok(())
        }
        DeployCommand::Smoke(arguments) => smoke(arguments),
    }
}

/// `kidu model promote`: past the approval if the version waits for it, else from the start.
pub(super) fn promote(arguments: &PromoteArgs) -> Outcome {
    let kept = &arguments.decision.kept;
    let version = arguments.version;
    let release = control::call(&dir(kept)?, &Command::Status)?.release;
    let waits = release.is_some_and(|r| r.request.version == version && r.phase == Phase::Waiting);
    let (actor, reason) = who(&arguments.decision);
    let version = Some(version);
    let command = match waits {
        true => Command::Approve { version, actor, reason },
        false => Command::Run { version, actor, reason },
    };
    ask(kept, &command, &arguments.wait)
}

fn who(decision: &Decision) -> (String, Option<String>) {
    let reason = decision.reason.clone().filter(|r| !r.trim().is_empty());
    (actor(decision.actor.as_deref()), reason)
}

fn need_deploy(configuration: &Configuration) -> Outcome<&DeploySettings> {
    need(&configuration.settings.deploy, "deploy")
}

/// The folder of deployments.
fn dir(kept: &KeptDir) -> Outcome<PathBuf> {
    match &kept.dir {
        Some(dir) => Ok(dir.clone()),
        None => Ok(need_deploy(&settings::load(&ConfigArgs::default(), "deploy")?)?.dir.clone()),
    }
}

fn up(arguments: &UpArgs) -> Outcome {
    let configuration = settings::load(&arguments.config, "deploy")?;
    let registry = need(&configuration.settings.registry, "registry")?;
    let mut settings = need_deploy(&configuration)?.clone();
    if let Some(dir) = &arguments.dir {
        settings.dir.clone_from(dir);
    }
    if let Some((key, reason)) = settings.validate_robustness() {
        return Err(ConfigError::invalid(&configuration.composed, &key, reason).into());
    }
    settings.dir = std::path::absolute(&settings.dir)?;
    let supervision = Supervision {
        registry: std::path::absolute(&registry.dir)?,
        group: registry.group.clone(),
        executable: std::env::current_exe()?,
        environment: vec![step::variable(&settings.dir.join("steps.lock"))],
        settings,
    };
    logs::install(&arguments.log);
    kidu_deploy::run(&supervision, |addresses| {
        ui::line(format!("production http://{}", addresses.production));
        ui::line(format!("staging    http://{}", addresses.staging));
        ui::line(format!("status     http://{}/status", addresses.production));
    })?;
    Ok(())
}

/// Sends a command, and follows the release that it is about, if that is wanted.
fn ask(kept: &KeptDir, command: &Command, wait: &WaitArgs) -> Outcome {
    let dir = dir(kept)?;
    let mut status = control::call(&dir, command)?;
    // A canary is taken back by the word alone.
    let at_once = status.release.is_none();
    let followed = if wait.wait { follow(&dir, command, &mut status)? } else { None };
    if wait.output.json {
        ui::json(&status)?;
    } else {
        say(&status)?;
    }
    match status.ended.iter().find(|e| Some(e.number) == followed) {
        None => Ok(()),
        Some(ended) => {
            let why = ended.reason.clone().unwrap_or_else(|| "no reason given".into());
            let what = format!("release {} (version {}) {}: {why}", ended.number, ended.version, ended.ending.name());
            match ended.ending {
                Ending::Live => Ok(()),
                // It was asked for.
                Ending::RolledBack if at_once && matches!(command, Command::Rollback { .. }) => Ok(()),
                Ending::Refused | Ending::Rejected | Ending::RolledBack => Err(Failure::Refused(what)),
                Ending::Failed | Ending::Superseded => Err(Failure::Failed(anyhow::Error::msg(what))),
            }
        }
    }
}

/// Follows the release of a command, from its turn on, until it is over or waits for a person; its number.
fn follow(dir: &Path, command: &Command, status: &mut Status) -> Outcome<Option<u64>> {
    let mut told = String::new();
    let mut look = |status: &mut Status| -> Outcome {
        let sentence = status.sentence();
        if sentence != told {
            ui::note(&sentence);
            told = sentence;
        }
        thread::sleep(LOOK);
        *status = control::call(dir, &Command::Status)?;
        Ok(())
    };
    let mut number = latest(status);
    // What was asked for has its turn after the release under way.
    if let Some(next) = queued(command, status) {
        while queued(command, status) == Some(next) {
            look(status)?;
        }
        let under_way = status.release.as_ref().map(|r| (r.number, r.request.version));
        let ended = status.ended.iter().rev().map(|e| (e.number, e.version));
        let begun = under_way.into_iter().chain(ended).find(|(n, version)| Some(*n) > number && *version == next);
        let Some((begun, _)) = begun else {
            let why =
                format!("version {next} has lost its turn: a newer request or a rejection took it; see the status");
            return Err(Failure::Failed(anyhow::Error::msg(why)));
        };
        number = Some(begun);
    }
    while status.release.as_ref().is_some_and(|r| Some(r.number) == number && r.phase != Phase::Waiting) {
        look(status)?;
    }
    Ok(number)
}

/// The release under way, or the last one.
fn latest(status: &Status) -> Option<u64> {
    status.release.as_ref().map(|r| r.number).or_else(|| status.ended.last().map(|e| e.number))
}

/// The version that a command asked for, while it waits for its turn.
fn queued(command: &Command, status: &Status) -> Option<u32> {
    let Command::Run { version, .. } = command else { return None };
    let next = status.next.as_ref()?.version;
    version.is_none_or(|version| version == next).then_some(next)
}

fn say(status: &Status) -> Outcome {
    ui::line(status.sentence());
    Ok(())
}

/// How it is, also where no supervisor runs.
fn status(dir: &Path) -> Outcome<Status> {
    match control::call(dir, &Command::Status) {
        Err(DeployError::NotRunning { .. }) => {}
        other => return Ok(other?),
    }
    let Some(state) = store::load(dir)? else {
        return Err(DeployError::NotRunning { dir: dir.to_path_buf() }.into());
    };
    let configuration = settings::load(&ConfigArgs::default(), "deploy")?;
    let registry = need(&configuration.settings.registry, "registry")?;
    let registry = Registry::open(&registry.dir, &registry.group)?;
    let history = supervisor::deployments(&registry, 50);
    Ok(Status::offline(dir.to_path_buf(), registry.group().into(), state, history))
}

fn smoke(arguments: &SmokeArgs) -> Outcome {
    let timeout = Duration::try_from_secs_f64(arguments.timeout).ok().filter(|t| !t.is_zero());
    let timeout = timeout.ok_or_else(|| Failure::usage("--timeout: give a number of seconds above 0"))?;
    let (image, label) = (arguments.image.as_deref(), arguments.expected_label.as_deref());
    let report: Report = smoke::run_blocking(&arguments.url, &arguments.bundle, image, label, timeout)?;
    if let Some(out) = &arguments.out {
        files::write_json(&out.join("smoke.json"), &report)?;
    }
    if arguments.output.json {
        ui::json(&report)?;
    } else {
        for check in &report.checks {
            let how = if check.ok { "ok    " } else { "FAILED" };
            ui::line(format!("{how} {}: {}", check.name, check.detail));
        }
    }
    if report.passed { Ok(()) } else { Err(Failure::Refused(format!("smoke test: {}", report.failures()))) }
}
