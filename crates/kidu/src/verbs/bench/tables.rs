//! The report for people.

use std::fmt::Write;

use kidu_pipeline::text::table;
use serde_json::Value;

use super::{
    Report,
    explanations::Explanations,
    images::Images,
    machine::Machine,
    memory::{MemoryCase, Resident},
    networks::Case,
    requests::Requests,
    turns::{Measured, PeerResult, PeerTimes},
};

/// All tables.
pub(super) fn text(report: &Report) -> String {
    let mut out = machine(&report.machine);
    if let Some(versions) = report.peers.as_ref().and_then(Value::as_object) {
        let told =
            |(name, version): (&String, &Value)| format!("{name} {}", version.as_str().unwrap_or("not installed"));
        let _ = writeln!(out, "peers: {}", versions.iter().map(told).collect::<Vec<_>>().join(", "));
    }
    let _ =
        writeln!(out, "{} rounds in turn; ratios are Kidu's time by the peer's: below 1 Kidu is faster", report.rounds);
    if let Some(found) = &report.images {
        out += &images(found);
    }
    for (title, cases) in [("Training step", &report.train), ("Prediction", &report.predict)] {
        if let Some(cases) = cases {
            let _ = write!(out, "\n{title}\n{}", networks(cases));
        }
    }
    if let Some(cases) = &report.request {
        let _ = write!(out, "\nRequest: base64 in JSON to probabilities in JSON, in this process\n{}", requests(cases));
    }
    if let Some(cases) = &report.explain {
        let _ = write!(out, "\nIntegrated Gradients of one image\n{}", explanations(cases));
    }
    if let Some(cases) = &report.memory {
        let _ = write!(
            out,
            "\nMemory of training, MiB: peak of a fresh process (of it added by training)\n{}",
            memory(cases)
        );
    }
    out
}

/// A line for one piece of work: our time and the ratios.
pub(super) fn line(what: &str, measured: &Measured) -> String {
    let peers = measured.peers.iter().map(|peer| match &peer.result {
        PeerResult::Ran { times, ratio } => {
            format!("{} {} (ratio {:.2})", peer.name, duration(times.seconds), ratio.median)
        }
        PeerResult::Missing { missing } => format!("{}: {missing}", peer.name),
    });
    let all: Vec<String> =
        std::iter::once(format!("{what}: {}", duration(measured.kidu.seconds))).chain(peers).collect();
    all.join("; ")
}

fn machine(machine: &Machine) -> String {
    let Machine { system, processor, cores, instructions, peaks, traffic } = machine;
    let processor = processor.as_deref().unwrap_or("unknown processor");
    let mut out = format!("machine: {processor}, {cores} cores, {system}, kernels for {instructions}\n");
    for peak in peaks {
        let _ = write!(out, "  {}: {:.0} GFLOP/s at most", threads(peak.threads), peak.gflops);
        if let Some(t) = traffic.iter().find(|t| t.threads == peak.threads) {
            let _ = write!(out, "; memory {:.1} GB/s (copy), {:.1} GB/s (triad)", t.copy, t.triad);
        }
        out.push('\n');
    }
    out
}

/// `1 thread`, `2 threads`.
pub(super) fn threads(n: usize) -> String {
    format!("{n} thread{}", if n == 1 { "" } else { "s" })
}

fn images(images: &Images) -> String {
    let own = vec!["kidu".into(), format!("{:.0}", images.images_per_second), String::new(), String::new()];
    let peers = images.measured.peers.iter().map(|peer| match &peer.result {
        PeerResult::Ran { times, ratio } => vec![
            peer.name.into(),
            format!("{:.0}", 1.0 / times.seconds),
            format!("{:.2} ({:.2} to {:.2})", ratio.median, ratio.min, ratio.max),
            format!("{:.2}", 1.0 / ratio.median),
        ],
        PeerResult::Missing { missing } => vec![peer.name.into(), missing.clone(), String::new(), String::new()],
    });
    let rows: Vec<_> = std::iter::once(own).chain(peers).collect();
    format!(
        "\nDecode, resize to 224 px, normalise: one core, {} photographs ({})\n{}",
        images.photographs,
        images.source,
        table(&["", "images/s", "ratio", "kidu is times as fast"], &rows)
    )
}

fn networks(cases: &[Case]) -> String {
    let heading = ["model", "batch", "threads", "kidu", "images/s", "GFLOP/s", "of peak", "peer", "its time", "ratio"];
    let with_peers = cases.iter().any(|case| !case.measured.peers.is_empty());
    let columns = if with_peers { heading.len() } else { 7 };
    let rows: Vec<Vec<String>> = cases.iter().flat_map(rows_of).collect();
    table(&heading[..columns], &rows)
}

fn requests(cases: &[Requests]) -> String {
    let heading = ["model", "threads", "kidu", "requests/s", "peer", "its time", "ratio"];
    let with_peers = cases.iter().any(|case| !case.measured.peers.is_empty());
    let columns = if with_peers { heading.len() } else { 4 };
    let own = |case: &Requests| {
        vec![
            case.model.to_string(),
            case.threads.to_string(),
            duration(case.measured.kidu.seconds),
            format!("{:.1}", case.requests_per_second),
        ]
    };
    let rows: Vec<Vec<String>> = cases.iter().flat_map(|case| with_rows_of_peers(own(case), &case.measured)).collect();
    table(&heading[..columns], &rows)
}

fn explanations(cases: &[Explanations]) -> String {
    let heading = ["model", "threads", "steps", "kidu", "peer", "its time", "ratio"];
    let with_peers = cases.iter().any(|case| !case.measured.peers.is_empty());
    let columns = if with_peers { heading.len() } else { 4 };
    let own = |case: &Explanations| {
        let (threads, steps) = (case.threads.to_string(), case.steps.to_string());
        vec![case.model.to_string(), threads, steps, duration(case.measured.kidu.seconds)]
    };
    let rows: Vec<Vec<String>> = cases.iter().flat_map(|case| with_rows_of_peers(own(case), &case.measured)).collect();
    table(&heading[..columns], &rows)
}

fn rows_of(case: &Case) -> Vec<Vec<String>> {
    let own = vec![
        case.model.to_string(),
        case.batch.to_string(),
        case.threads.to_string(),
        duration(case.measured.kidu.seconds),
        format!("{:.1}", case.images_per_second),
        format!("{:.1}", case.gflops),
        format!("{:.0} %", 100.0 * case.share_of_peak),
    ];
    with_rows_of_peers(own, &case.measured)
}

/// One row for each peer; the first has our figures too.
fn with_rows_of_peers(own: Vec<String>, measured: &Measured) -> Vec<Vec<String>> {
    let blank = vec![String::new(); own.len()];
    let peers: Vec<Vec<String>> = measured.peers.iter().map(columns_of).collect();
    match peers.split_first() {
        None => vec![own],
        Some((first, others)) => {
            let others = others.iter().map(|peer| [&blank[..], peer].concat());
            std::iter::once([&own[..], first].concat()).chain(others).collect()
        }
    }
}

fn columns_of(peer: &PeerTimes) -> Vec<String> {
    match &peer.result {
        PeerResult::Ran { times, ratio } => vec![
            peer.name.into(),
            duration(times.seconds),
            format!("{:.2} ({:.2} to {:.2})", ratio.median, ratio.min, ratio.max),
        ],
        PeerResult::Missing { missing } => vec![peer.name.into(), missing.clone()],
    }
}

fn memory(cases: &[MemoryCase]) -> String {
    let resident = |resident: &Resident| match resident {
        Resident::Told { peak, .. } => {
            let mib = |bytes: u64| bytes as f64 / (1 << 20) as f64;
            format!("{:.0} ({:.0})", mib(*peak), mib(resident.added().unwrap_or_default()))
        }
        Resident::Missing { missing } => missing.clone(),
    };
    let row = |case: &MemoryCase| {
        vec![
            case.model.into(),
            case.batch.to_string(),
            case.threads.to_string(),
            resident(&case.kidu),
            case.pytorch.as_ref().map_or_else(|| "-".into(), resident),
            case.ratio.map_or_else(|| "-".into(), |r| format!("{r:.2}")),
        ]
    };
    let rows: Vec<_> = cases.iter().map(row).collect();
    table(&["model", "batch", "threads", "kidu", "PyTorch", "ratio of what was added"], &rows)
}

/// Milliseconds with three digits or so.
fn duration(seconds: f64) -> String {
    let ms = 1e3 * seconds;
    match ms {
        100.0.. => format!("{ms:.0} ms"),
        10.0.. => format!("{ms:.1} ms"),
        _ => format!("{ms:.2} ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verbs::bench::turns::{Ratio, Times};

    fn case(peers: Vec<PeerTimes>) -> Case {
        let kidu = Times { seconds: 0.0123, rounds: vec![0.0123] };
        let measured = Measured { kidu, peers };
        let (model, batch, threads) = ("resnet18", 1, 2);
        let (gflop, gflops, share_of_peak, images_per_second) = (3.627, 294.9, 0.5, 81.3);
        Case { model, batch, threads, gflop, gflops, share_of_peak, images_per_second, measured }
    }

    #[test]
    fn every_peer_has_its_row_and_missing_ones_say_why() {
        let times = Times { seconds: 0.0246, rounds: vec![0.0246] };
        let ratio = Ratio { median: 0.5, min: 0.45, max: 0.55 };
        let missing = "not installed: onnxruntime".to_string();
        let found = networks(&[case(vec![
            PeerTimes { name: "PyTorch", result: PeerResult::Ran { times, ratio } },
            PeerTimes { name: "ONNX Runtime", result: PeerResult::Missing { missing } },
        ])]);
        let lines: Vec<&str> = found.lines().collect();
        assert_eq!(lines.len(), 3, "{found}");
        assert!(lines[1].contains("12.3 ms") && lines[1].contains("50 %"), "{found}");
        assert!(lines[1].contains("24.6 ms") && lines[1].ends_with("0.50 (0.45 to 0.55)"), "{found}");
        assert!(lines[2].starts_with(' ') && lines[2].ends_with("not installed: onnxruntime"), "{found}");
    }

    #[test]
    fn without_peers_there_are_no_columns_for_them() {
        let found = networks(&[case(Vec::new())]);
        assert!(found.starts_with("model") && !found.contains("peer"), "{found}");
    }
}
