//! The state machine that turns many annotations into one build, its expressions worked out by a JSONata of others.

use std::process::Command;

use serde_json::{Value, json};

use crate::synthesised;

/// Plays the two states: what the second would write, for each schedule found by the first.
const PLAY: &str = "
import json, sys, time
from jsonata import Jsonata
given = json.load(open(sys.argv[1]))
def work_out(text, **variables):
    assert text.startswith('{%') and text.endswith('%}'), text
    expression = Jsonata(text[2:-2].strip())
    frame = expression.create_frame()
    for name, value in variables.items():
        frame.bind(name, value)
    return expression.evaluate(None, frame)
out = []
now = int(time.time() * 1000)
for case in given['cases']:
    found = dict(State=case['State'], Target={'Arn': 'a'})
    at = time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now / 1000 + case['at']))
    found['ScheduleExpression'] = f'at({at})'
    found['Description'] = f\"since {now + case['since'] * 1000}\" if 'since' in case else 'quiet'
    first = work_out(given['first'], states={'result': found})
    written = work_out(given['at'], first=first)
    import calendar
    when = calendar.timegm(time.strptime(written, 'at(%Y-%m-%dT%H:%M:%S)'))
    described = work_out(given['description'], first=first)
    out.append({'after': when - now / 1000, 'first': (first - now) / 1000, 'description': described})
json.dump(out, sys.stdout)
";

#[test]
fn annotations_start_one_build_when_they_are_quiet_and_not_too_late() {
    let test = "annotations_start_one_build_when_they_are_quiet_and_not_too_late";
    let Some(python) = kidu_testing::peer_python(test, &["jsonata"]) else { return };
    let assembly = synthesised();
    let template = &assembly.stack("model-build").unwrap().template;
    let (_, machine) = template.resource_at("AnnotationsUpdated/Machine").unwrap();
    let text = machine["Properties"]["Definition"].to_string();
    let definition: Value =
        serde_json::from_str(&text.replace("${QuietMinutes}", "15").replace("${LongestMinutes}", "240")).unwrap();
    let states = &definition["States"];
    // As it is made: off, and far ahead, which the first of the cases is.
    let (_, schedule) = template.resource_at("AnnotationsUpdated/Schedule").unwrap();
    let made = &schedule["Properties"];
    assert_eq!((&made["State"], &made["ScheduleExpression"]), (&json!("DISABLED"), &json!("at(2099-01-01T00:00:00)")));
    let input = json!({
        "first": states["Read"]["Assign"]["first"],
        "at": states["Move"]["Arguments"]["ScheduleExpression"],
        "description": states["Move"]["Arguments"]["Description"],
        // Seconds from now: when the schedule would fire, and since when events have come.
        "cases": [
            {"State": "DISABLED", "at": 2_000_000_000_i64},
            {"State": "ENABLED", "at": 600, "since": -300},
            {"State": "ENABLED", "at": 600, "since": -14_100},
            {"State": "ENABLED", "at": 30, "since": -20_000},
            {"State": "ENABLED", "at": -3600, "since": -7200},
        ],
    });
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("input.json");
    std::fs::write(&file, input.to_string()).unwrap();
    let out = Command::new(python).args(["-c", PLAY]).arg(&file).output().unwrap();
    let made: Value =
        serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&out.stderr)));
    let check = |case: usize, after: f64, first: f64| {
        let (a, f) = (made[case]["after"].as_f64().unwrap(), made[case]["first"].as_f64().unwrap());
        assert!((a - after).abs() < 5.0 && (f - first).abs() < 5.0, "case {case}: in {a} s, since {f} s: {made}");
    };
    // The first event ever, and the first since a build: a quarter of an hour from now.
    check(0, 900.0, 0.0);
    check(4, 900.0, 0.0);
    // One of many moves the start on, but not beyond four hours after the first of them, and never into the past.
    check(1, 900.0, -300.0);
    check(2, 300.0, -14_100.0);
    check(3, 60.0, -20_000.0);
    assert!(made[1]["description"].as_str().unwrap().starts_with("since 1"), "{made}");
}
