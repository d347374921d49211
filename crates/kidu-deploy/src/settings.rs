//! The configuration group `deploy`.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use kidu_pipeline::{Pipeline, StepKind, deploy_pipeline};
use serde::Deserialize;

use crate::{
    canary::{Rules, WithoutTraffic},
    front::Limits,
};

/// How versions come into production.
#[derive(Clone, Debug, Deserialize)]
pub struct DeploySettings {
    /// The folder of state, releases and logs.
    pub dir: PathBuf,
    /// Whether an approval in the registry starts a release while the supervisor runs.
    pub on_approval: bool,
    /// Seconds between two looks at the registry.
    pub watch_seconds: f64,
    /// Whether a person must approve what passed staging.
    pub manual_approval: bool,
    /// The addresses, and what clients may use.
    pub front: FrontSettings,
    /// The servers' processes.
    pub server: ServerSettings,
    /// How traffic moves to a new version.
    pub canary: CanarySettings,
    /// The first test in staging.
    pub smoke: SmokeSettings,
    /// The second test in staging.
    pub robustness: RobustnessSettings,
}

/// `deploy.front`
#[derive(Clone, Debug, Deserialize)]
pub struct FrontSettings {
    /// The address to listen on.
    pub host: IpAddr,
    /// Production's port; 0 takes a free one.
    pub production_port: u16,
    /// Staging's port; 0 takes a free one.
    pub staging_port: u16,
    /// Most bytes of a request's body.
    pub max_body_bytes: u64,
    /// Most open connections of an environment.
    pub max_connections: usize,
    /// Seconds that a request's head may take, and that a connection may be idle.
    pub head_timeout: f64,
    /// Seconds that a request's body may take.
    pub body_timeout: f64,
    /// Seconds that an answer may take.
    pub answer_timeout: f64,
}

/// `deploy.server`
#[derive(Clone, Debug, Deserialize)]
pub struct ServerSettings {
    /// The program with its first arguments; null is `kidu serve` of this executable.
    pub command: Option<Vec<String>>,
    /// Further arguments.
    pub arguments: Vec<String>,
    /// Seconds until a new process must be ready.
    pub ready_timeout: f64,
    /// Seconds that a process may take to finish what it began.
    pub drain_timeout: f64,
    /// Seconds between two looks whether a process answers.
    pub health_seconds: f64,
    /// Seconds before a crashed process is started again: doubled each time, up to the longest.
    pub restart_delay: f64,
    /// The longest of those delays.
    pub max_restart_delay: f64,
}

/// `deploy.canary`
#[derive(Clone, Debug, Deserialize)]
pub struct CanarySettings {
    /// Shares of the requests that the new version gets, one after the other; the last is 1.
    pub steps: Vec<f64>,
    /// Seconds that each share is watched.
    pub bake_seconds: f64,
    /// Requests before which nothing is concluded.
    pub min_requests: u64,
    /// Largest share of failed requests.
    pub max_error_rate: f64,
    /// Longest 95th percentile of the time to an answer, in milliseconds; null sets no limit.
    pub max_p95_ms: Option<f64>,
    /// Largest ratio of it to the live version's; null sets no limit.
    pub max_p95_ratio: Option<f64>,
    /// Requests that a judgement looks back on.
    pub window: usize,
    /// What becomes of a canary that got too few requests.
    pub without_traffic: WithoutTraffic,
}

/// `deploy.smoke`
#[derive(Clone, Debug, Deserialize)]
pub struct SmokeSettings {
    /// An image to predict; null takes one that comes with Kidu.
    pub image: Option<PathBuf>,
    /// The label it must get; null takes any of the model's.
    pub expected_label: Option<String>,
    /// Seconds that an answer may take.
    pub timeout: f64,
}

/// `deploy.robustness`
#[derive(Clone, Debug, Deserialize)]
pub struct RobustnessSettings {
    /// Whether it is tested.
    pub enabled: bool,
    /// The images.
    pub data_root: Option<PathBuf>,
    /// The most that corruptions may take from the clean accuracy on the mean, in [0, 1].
    pub max_drop: f64,
    /// Another program with its arguments instead of `kidu robustness`; `{url}` and `{data}` are filled in. It ends with
    /// 0 for yes and 3 for no.
    pub command: Option<Vec<String>>,
    /// Seconds that it may take.
    pub timeout: f64,
}

impl DeploySettings {
    /// What is out of range: key and reason.
    pub fn validate(&self) -> Vec<(String, String)> {
        let mut problems: Vec<(String, String)> = Vec::new();
        let (f, s, c) = (&self.front, &self.server, &self.canary);
        let seconds = [
            ("watch_seconds", self.watch_seconds, 0.05),
            ("front.head_timeout", f.head_timeout, 0.01),
            ("front.body_timeout", f.body_timeout, 0.01),
            ("front.answer_timeout", f.answer_timeout, 0.01),
            ("server.ready_timeout", s.ready_timeout, 0.1),
            ("server.drain_timeout", s.drain_timeout, 0.0),
            ("server.health_seconds", s.health_seconds, 0.05),
            ("server.restart_delay", s.restart_delay, 0.01),
            ("server.max_restart_delay", s.max_restart_delay, 0.01),
            ("canary.bake_seconds", c.bake_seconds, 0.0),
            ("smoke.timeout", self.smoke.timeout, 0.01),
            ("robustness.timeout", self.robustness.timeout, 0.01),
        ];
        let mut refuse = |key: &str, reason: String| problems.push((format!("deploy.{key}"), reason));
        for (key, value, least) in seconds {
            if !(least..=604_800.0).contains(&value) {
                refuse(key, format!("{value} is out of range; give {least} to 604800 seconds"));
            }
        }
        let counts = [
            ("front.max_body_bytes", f.max_body_bytes),
            ("front.max_connections", f.max_connections as u64),
            ("canary.window", c.window as u64),
        ];
        for (key, _) in counts.iter().filter(|(_, n)| *n == 0) {
            refuse(key, "is 0; give at least 1".into());
        }
        if f.production_port == f.staging_port && f.production_port != 0 {
            refuse("front.staging_port", format!("{} is production's port; give another", f.staging_port));
        }
        let drop = self.robustness.max_drop;
        if !(0.0..=1.0).contains(&drop) {
            refuse("robustness.max_drop", format!("{drop} is not a share between 0 and 1"));
        }
        let shares = &c.steps;
        if !shares.is_sorted_by(|a, b| a < b)
            || shares.first().is_none_or(|s| *s < 0.001)
            || shares.last() != Some(&1.0)
        {
            refuse(
                "canary.steps",
                format!("{shares:?} are not growing shares up to 1, as in [0.1,1.0]; the least is 0.001"),
            );
        }
        if !(0.0..=1.0).contains(&c.max_error_rate) {
            refuse("canary.max_error_rate", format!("{} is not a share; give 0 to 1", c.max_error_rate));
        }
        for (key, value) in [("canary.max_p95_ms", c.max_p95_ms), ("canary.max_p95_ratio", c.max_p95_ratio)] {
            if let Some(value) = value.filter(|v| !v.is_finite() || *v <= 0.0) {
                refuse(key, format!("{value} is not positive; give a larger number, or null for no limit"));
            }
        }
        if c.min_requests > c.window as u64 {
            refuse("canary.min_requests", format!("{} is more than canary.window {} holds", c.min_requests, c.window));
        }
        for (key, command) in [("server.command", &s.command), ("robustness.command", &self.robustness.command)] {
            if command.as_ref().is_some_and(Vec::is_empty) {
                refuse(key, "is an empty list; give a program, or null".into());
            }
        }
        problems
    }

    /// The robustness test that is switched on needs images, unless another program tests. Key and reason.
    pub fn validate_robustness(&self) -> Option<(String, String)> {
        let r = &self.robustness;
        (r.enabled && r.data_root.is_none() && r.command.is_none()).then(|| {
            let reason = "is not set: give the images that the robustness test perturbs, \
                          or deploy.robustness.enabled=false to deploy without that test";
            ("deploy.robustness.data_root".to_string(), reason.to_string())
        })
    }

    /// The deploy pipeline without the steps that are switched off.
    pub fn pipeline(&self) -> Pipeline {
        let mut pipeline = deploy_pipeline();
        if !self.robustness.enabled {
            remove(&mut pipeline, |step| step.name == "robustness");
            pipeline.parameters.retain(|p| !p.name.starts_with("Robustness"));
        }
        if !self.manual_approval {
            remove(&mut pipeline, |step| step.kind == StepKind::Approval);
        }
        pipeline
    }

    /// The canary's rules.
    pub fn rules(&self) -> Rules {
        let c = &self.canary;
        Rules {
            bake: seconds(c.bake_seconds),
            min_requests: c.min_requests,
            max_error_rate: c.max_error_rate,
            max_p95: c.max_p95_ms.map(|ms| seconds(ms / 1e3)),
            max_p95_ratio: c.max_p95_ratio,
            without_traffic: c.without_traffic,
        }
    }

    /// What clients may use.
    pub fn limits(&self) -> Limits {
        let f = &self.front;
        Limits {
            max_body: f.max_body_bytes,
            max_connections: f.max_connections,
            head_timeout: seconds(f.head_timeout),
            body_timeout: seconds(f.body_timeout),
            answer_timeout: seconds(f.answer_timeout),
        }
    }
}

/// Takes steps out; what came after them comes after what they came after.
pub(crate) fn remove(pipeline: &mut Pipeline, gone: impl Fn(&kidu_pipeline::Step) -> bool) {
    while let Some(at) = pipeline.steps.iter().position(&gone) {
        let step = pipeline.steps.remove(at);
        for other in pipeline.steps.iter_mut().filter(|s| s.after.contains(&step.name)) {
            other.after.retain(|name| *name != step.name);
            other.after.extend(step.after.iter().cloned());
        }
    }
}

/// A checked number of seconds as a duration.
pub(crate) fn seconds(value: f64) -> Duration {
    Duration::try_from_secs_f64(value).unwrap_or(Duration::MAX)
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Settings as the shipped configuration has them.
    pub(crate) fn settings(change: impl FnOnce(&mut Value)) -> DeploySettings {
        let mut value = json!({
            "dir": "deploy", "on_approval": true, "watch_seconds": 2, "manual_approval": true,
            "front": {"host": "127.0.0.1", "production_port": 8080, "staging_port": 8081, "max_body_bytes": 1 << 25,
                      "max_connections": 512, "head_timeout": 30, "body_timeout": 30, "answer_timeout": 30},
            "server": {"command": null, "arguments": [], "ready_timeout": 60, "drain_timeout": 25, "health_seconds": 5,
                       "restart_delay": 0.5, "max_restart_delay": 30},
            "canary": {"steps": [0.1, 1.0], "bake_seconds": 300, "min_requests": 50, "max_error_rate": 0.01,
                       "max_p95_ms": 1000, "max_p95_ratio": null, "window": 1000, "without_traffic": "proceed"},
            "smoke": {"image": null, "expected_label": null, "timeout": 10},
            "robustness": {"enabled": true, "data_root": null, "max_drop": 0.25, "command": null, "timeout": 3600},
        });
        change(&mut value);
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn what_no_deployment_can_work_with_is_named() {
        assert_eq!(settings(|_| {}).validate(), []);
        for (pointer, bad, key) in [
            ("/canary/steps", json!([0.1]), "deploy.canary.steps"),
            ("/canary/steps", json!([0.5, 0.5, 1.0]), "deploy.canary.steps"),
            ("/canary/steps", json!([]), "deploy.canary.steps"),
            ("/canary/steps", json!([0.0, 1.0]), "deploy.canary.steps"),
            ("/canary/max_error_rate", json!(2), "deploy.canary.max_error_rate"),
            ("/canary/min_requests", json!(2000), "deploy.canary.min_requests"),
            ("/canary/max_p95_ms", json!(0), "deploy.canary.max_p95_ms"),
            ("/front/staging_port", json!(8080), "deploy.front.staging_port"),
            ("/front/max_connections", json!(0), "deploy.front.max_connections"),
            ("/server/ready_timeout", json!(-1), "deploy.server.ready_timeout"),
            ("/server/command", json!([]), "deploy.server.command"),
        ] {
            let problems = settings(|v| *v.pointer_mut(pointer).unwrap() = bad.clone()).validate();
            assert_eq!(problems.iter().map(|(k, _)| k.as_str()).collect::<Vec<_>>(), [key], "{pointer} {bad}");
        }
        assert_eq!(settings(|_| {}).validate_robustness().unwrap().0, "deploy.robustness.data_root");
    }

    #[test]
    fn steps_that_are_switched_off_leave_a_valid_pipeline() {
        let off = |approval: bool, robustness: bool| {
            let settings = settings(|v| {
                v["manual_approval"] = approval.into();
                v["robustness"]["enabled"] = robustness.into();
            });
            let pipeline = settings.pipeline();
            pipeline.validate().unwrap().iter().map(|s| s.name.clone()).collect::<Vec<_>>()
        };
        assert_eq!(off(true, false), ["package", "staging", "smoke", "approval", "production"]);
        assert_eq!(off(false, true), ["package", "staging", "smoke", "robustness", "production"]);
        assert_eq!(off(false, false), ["package", "staging", "smoke", "production"]);
    }
}
