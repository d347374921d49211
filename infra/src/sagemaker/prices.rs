//! What machines cost by the hour.
//!
//! A table in the source cannot follow AWS's prices: it has a date and says where it comes from, and what it does not
//! hold is unknown, not guessed.

/// When the table was written.
pub const DATE: &str = "2026-11-26";

/// Where it comes from, and what to look at instead.
pub const SOURCE: &str = "on-demand prices of training and processing machines as public code and bills quote them (us-east-1: \
                          tables of 2023 to 2025; eu-west-1: a bill of December 2023, for ml.c5 EC2's price there times \
                          SageMaker's usual 1.2), not looked up at AWS on that day: see \
                          https://aws.amazon.com/sagemaker/ai/pricing/";

/// A region's machines with USD an hour.
type Region = (&'static str, &'static [(&'static str, f64)]);

const TABLE: [Region; 2] = [
    (
        "us-east-1",
        &[
            ("ml.m5.large", 0.115),
            ("ml.m5.xlarge", 0.230),
            ("ml.m5.2xlarge", 0.461),
            ("ml.m5.4xlarge", 0.922),
            ("ml.c5.xlarge", 0.204),
            ("ml.c5.2xlarge", 0.408),
            ("ml.c5.4xlarge", 0.816),
            ("ml.c5.9xlarge", 1.836),
            ("ml.c5.18xlarge", 3.672),
            ("ml.g4dn.xlarge", 0.736),
            ("ml.g5.xlarge", 1.408),
            ("ml.p3.2xlarge", 3.825),
        ],
    ),
    (
        "eu-west-1",
        &[
            ("ml.m5.large", 0.128),
            ("ml.m5.xlarge", 0.257),
            ("ml.c5.xlarge", 0.230),
            ("ml.c5.2xlarge", 0.461),
            ("ml.c5.4xlarge", 0.922),
            ("ml.c5.9xlarge", 2.074),
            ("ml.c5.18xlarge", 4.147),
            ("ml.g4dn.xlarge", 0.822),
            ("ml.g5.xlarge", 1.570),
            ("ml.p3.2xlarge", 4.131),
        ],
    ),
];

/// USD an hour, on demand; nothing for a region or machine that the table does not hold.
pub fn usd_per_hour(region: &str, instance: &str) -> Option<f64> {
    let (_, machines) = TABLE.iter().find(|(name, _)| *name == region)?;
    machines.iter().find(|(name, _)| *name == instance).map(|(_, usd)| *usd)
}

/// The regions that the table holds.
pub fn regions() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sagemaker::Instances;

    #[test]
    fn the_machines_of_the_definition_have_a_price() {
        let Instances { processing, training, .. } = Instances::default();
        for region in regions() {
            for instance in [&processing, &training] {
                let usd = usd_per_hour(region, instance).unwrap();
                assert!((0.01..100.0).contains(&usd), "{region} {instance}: {usd}");
            }
        }
        assert_eq!(usd_per_hour("us-east-1", "ml.none.large"), None);
        assert_eq!(usd_per_hour("mars-north-1", &training), None);
    }
}
