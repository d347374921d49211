//! Alarms on one metric.

use crate::{
    aws::Alarm,
    core::{Construct, Expr, Handle, Scope, object},
};

/// An alarm when a metric is above a threshold.
pub struct MetricAlarm {
    /// What it means and what to do.
    pub description: &'static str,
    /// The metric's namespace.
    pub namespace: Expr,
    /// The metric.
    pub metric: &'static str,
    /// Its dimensions.
    pub dimensions: Vec<(&'static str, Expr)>,
    /// `Sum`, `Average`, `Maximum`, or a percentile such as `p95`.
    pub statistic: &'static str,
    /// Above what it rings.
    pub threshold: Expr,
    /// Length of a period in seconds.
    pub period: i32,
    /// Over how many periods, and in how many of them the threshold is passed.
    pub periods: (i32, i32),
    /// Who is told.
    pub actions: Vec<Expr>,
}

impl Construct for MetricAlarm {
    type Made = Handle<Alarm>;

    fn build(self, scope: &Scope) -> Handle<Alarm> {
        let dimension = |(name, value): (&str, Expr)| object! { "Name" => name, "Value" => value };
        let alarm = Alarm::new()
            .alarm_description(self.description)
            .namespace(self.namespace)
            .metric_name(self.metric)
            .dimensions(self.dimensions.into_iter().map(dimension).collect::<Vec<_>>())
            .comparison_operator("GreaterThanThreshold")
            .threshold(self.threshold)
            .period(self.period)
            .evaluation_periods(self.periods.0)
            .datapoints_to_alarm(self.periods.1)
            // Nobody calls: nothing is wrong.
            .treat_missing_data("notBreaching")
            .alarm_actions(self.actions.clone())
            .ok_actions(self.actions);
        let alarm = match self.statistic.strip_prefix('p') {
            Some(_) => alarm.extended_statistic(self.statistic),
            None => alarm.statistic(self.statistic),
        };
        scope.add("Alarm", alarm)
    }
}
