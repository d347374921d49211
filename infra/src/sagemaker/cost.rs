//! What a start may cost, told before it.

use serde::Serialize;
use serde_json::Value;

use super::prices;

/// What a start may cost.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// The region.
    pub region: String,
    /// The jobs.
    pub jobs: Vec<JobCost>,
    /// USD if every job runs to its limit once, on demand; nothing if a price is unknown.
    pub at_most_usd: Option<f64>,
    /// When the prices were written down.
    pub prices_of: &'static str,
    /// Where they come from.
    pub source: &'static str,
}

/// What a job may cost, or several alike.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct JobCost {
    /// What it is.
    pub name: String,
    /// The type of the machine.
    pub instance: String,
    /// How many such jobs there are.
    pub count: u32,
    /// The longest that one may run, in hours.
    pub max_hours: f64,
    /// USD an hour, on demand; nothing if it is unknown.
    pub usd_per_hour: Option<f64>,
    /// Whether it runs on spare capacity, which costs less: how much less is known afterwards.
    pub spot: bool,
}

impl JobCost {
    /// A job, by the limit of its time in seconds.
    pub fn new(name: &str, instance: &str, max_seconds: u32, region: &str) -> Self {
        Self {
            name: name.into(),
            instance: instance.into(),
            count: 1,
            max_hours: f64::from(max_seconds) / 3600.0,
            usd_per_hour: prices::usd_per_hour(region, instance),
            spot: false,
        }
    }

    /// Several of them.
    #[must_use]
    pub fn times(mut self, count: u32) -> Self {
        self.count = count;
        self
    }

    /// On spare capacity, or not.
    #[must_use]
    pub fn on_spot(mut self, spot: bool) -> Self {
        self.spot = spot;
        self
    }

    fn at_most(&self) -> Option<f64> {
        Some(self.usd_per_hour? * self.max_hours * f64::from(self.count))
    }
}

impl Estimate {
    /// Of some jobs.
    pub fn of_jobs(jobs: Vec<JobCost>, region: &str) -> Self {
        let at_most_usd = jobs.iter().map(JobCost::at_most).sum();
        let (prices_of, source) = (prices::DATE, prices::SOURCE);
        Self { region: region.into(), jobs, at_most_usd, prices_of, source }
    }

    /// Of the jobs of a pipeline definition, each run once: neither the cache nor retries are counted on.
    pub fn of_definition(definition: &Value, region: &str) -> Self {
        let mut jobs = Vec::new();
        collect(&definition["Steps"], region, &mut jobs);
        Self::of_jobs(jobs, region)
    }

    /// For people: a line a job, and what it comes to.
    pub fn to_text(&self) -> String {
        let row = |job: &JobCost| {
            let price = job.usd_per_hour.map_or_else(|| "unknown".into(), |usd| format!("{usd:.3}"));
            let total = job.at_most().map_or_else(|| "unknown".into(), |usd| format!("{usd:.2}"));
            let (count, hours) = (job.count, job.max_hours);
            let machine = format!("{}{}", job.instance, if job.spot { " (spot)" } else { "" });
            vec![job.name.clone(), machine, price, format!("{count} x {hours:.1} h"), total]
        };
        let rows: Vec<Vec<String>> = self.jobs.iter().map(row).collect();
        let heading = ["job", "machine", "USD/h", "at most", "USD at most"];
        let total = match self.at_most_usd {
            Some(usd) => format!("at most {usd:.2} USD, if every job runs to its limit on demand"),
            None => format!(
                "the cost is unknown: the table of prices holds {} and common machines only",
                prices::regions().collect::<Vec<_>>().join(" and ")
            ),
        };
        let spot =
            if self.jobs.iter().any(|j| j.spot) { "; spot costs less, by how much is known afterwards" } else { "" };
        format!(
            "{}{total}{spot}.\nPrices in {} as written down on {}: {}. Storage, requests and repeated jobs are not in it.",
            kidu_pipeline::text::table(&heading, &rows),
            self.region,
            self.prices_of,
            self.source
        )
    }
}

fn collect(steps: &Value, region: &str, jobs: &mut Vec<JobCost>) {
    for step in steps.as_array().into_iter().flatten() {
        let arguments = &step["Arguments"];
        let resources = match step["Type"].as_str() {
            Some("Processing") => &arguments["ProcessingResources"]["ClusterConfig"],
            Some("Training") => &arguments["ResourceConfig"],
            Some("Condition") => {
                collect(&arguments["IfSteps"], region, jobs);
                collect(&arguments["ElseSteps"], region, jobs);
                continue;
            }
            _ => continue,
        };
        let seconds = arguments["StoppingCondition"]["MaxRuntimeInSeconds"].as_u64().unwrap_or(DEFAULT_SECONDS);
        let instance = resources["InstanceType"].as_str().unwrap_or("unknown");
        let name = step["Name"].as_str().unwrap_or_default();
        let count = resources["InstanceCount"].as_u64().and_then(|n| u32::try_from(n).ok()).unwrap_or(1);
        let job = JobCost::new(name, instance, u32::try_from(seconds).unwrap_or(u32::MAX), region);
        jobs.push(job.times(count).on_spot(arguments["EnableManagedSpotTraining"] == true));
    }
}

/// SageMaker's limit of a job that states none.
const DEFAULT_SECONDS: u64 = 86_400;

#[cfg(test)]
mod tests {
    use kidu_pipeline::build_pipeline;

    use super::*;
    use crate::sagemaker::{Environment, definition};

    #[test]
    fn every_job_of_the_definition_is_counted() {
        let made = definition(&build_pipeline(), &Environment::example()).unwrap();
        let estimate = Estimate::of_definition(&made, "us-east-1");
        let names: Vec<&str> = estimate.jobs.iter().map(|j| j.name.as_str()).collect();
        assert_eq!(names, ["preprocess", "train", "evaluate"]);
        assert!(estimate.jobs[1].spot && !estimate.jobs[0].spot);
        // Three jobs of four hours: two at 0.23, one at 0.816.
        assert!((estimate.at_most_usd.unwrap() - 4.0 * (0.23 + 0.816 + 0.23)).abs() < 1e-9, "{estimate:?}");
        let text = estimate.to_text();
        assert!(text.contains("at most 5.10 USD") && text.contains(prices::DATE) && text.contains("spot"), "{text}");
    }

    #[test]
    fn what_is_not_in_the_table_is_unknown() {
        let job = JobCost::new("train", "ml.c5.4xlarge", 3600, "ap-southeast-7").times(3);
        let estimate = Estimate::of_jobs(vec![job], "ap-southeast-7");
        assert_eq!(estimate.at_most_usd, None);
        let text = estimate.to_text();
        assert!(text.contains("the cost is unknown") && text.contains("us-east-1 and eu-west-1"), "{text}");
        assert!(text.contains("3 x 1.0 h"), "{text}");
    }
}
